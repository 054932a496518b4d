"""Gemini's streams and replies as Google writes them: text, thoughts, calls, an image, sources."""

import json
from typing import Any

TEXT = "Größe: 12 €, says a page. 😀"
HALVES = (TEXT[:12], TEXT[12:])
USAGE = {
    "promptTokenCount": 120, "candidatesTokenCount": 30, "thoughtsTokenCount": 20,
    "totalTokenCount": 180, "toolUsePromptTokenCount": 10, "cachedContentTokenCount": 60,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 25},
        {"modality": "IMAGE", "tokenCount": 15},
    ],
    "cacheTokensDetails": [
        {"modality": "TEXT", "tokenCount": 55}, {"modality": "AUDIO", "tokenCount": 5},
    ],
    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 30}],
}  # fmt: skip
CHAT_USAGE = {
    "prompt_tokens": 130, "completion_tokens": 50, "total_tokens": 180,
    "prompt_tokens_details": {
        "cached_tokens": 60, "audio_tokens": 25, "image_tokens": 15, "cache_write_tokens": 0,
        "cache_write_details": {"write_5m_tokens": 0, "write_1h_tokens": 0},
        "cached_tokens_details": {"audio_tokens": 5},
    },
    "completion_tokens_details": {"reasoning_tokens": 20},
}  # fmt: skip
GROUNDING = {
    "webSearchQueries": ["size"],
    "groundingChunks": [{"web": {"uri": "https://example.com/a", "title": "A page"}}],
    "groundingSupports": [{
        "segment": {"startIndex": 0, "endIndex": len("Größe: 12 €".encode()),
                    "text": "Größe: 12 €"},
        "groundingChunkIndices": [0, 7],
    }],
}  # fmt: skip
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com/a", "title": "A page", "content": "Größe: 12 €",
        "start_index": 0, "end_index": 11,
    },
}  # fmt: skip
CALL_ID = "call_94644d60abbb7d53da2a5711"


def event(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": "gemini-3", "responseId": "r-1"}


EVENTS: tuple[dict[str, Any], ...] = (
    {**event({"text": "Let me ", "thought": True}),
     "usageMetadata": {"promptTokenCount": 120, "totalTokenCount": 120}},
    event({"text": "see.", "thought": True}),
    event({"text": HALVES[0]}),
    event({"text": HALVES[1]}),
    event({"functionCall": {"name": "weather", "args": {"city": "Berlin"}},
           "thoughtSignature": "c2ln"},
          {"functionCall": {"id": "fc-2", "name": "now", "args": {}}}),
    event({"inlineData": {"mimeType": "image/png", "data": "AA"}, "thoughtSignature": "aW1n"}),
    {**event({"text": ""}, finishReason="STOP", groundingMetadata=GROUNDING),
     "usageMetadata": USAGE},
)  # fmt: skip


def sse(*events: dict[str, Any]) -> bytes:
    """Google ends lines with CR LF."""
    return "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in events).encode()


STREAM = sse(*EVENTS)
REPLY: dict[str, Any] = {
    "candidates": [{
        "content": {"role": "model", "parts": [
            {"text": "Let me see.", "thought": True},
            {"text": TEXT},
            *EVENTS[4]["candidates"][0]["content"]["parts"],
            *EVENTS[5]["candidates"][0]["content"]["parts"],
        ]},
        "finishReason": "STOP", "index": 0, "groundingMetadata": GROUNDING,
        "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
    }],
    "usageMetadata": USAGE, "modelVersion": "gemini-3", "responseId": "r-1",
}  # fmt: skip
CALLS = [
    {"id": CALL_ID, "type": "function",
     "function": {"name": "weather", "arguments": '{"city":"Berlin"}'},
     "extra_content": {"google": {"thought_signature": "c2ln"}}},
    {"id": "fc-2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
]  # fmt: skip
IMAGES = [{
    "type": "image_url", "image_url": {"url": "data:image/png;base64,AA"},
    "extra_content": {"google": {"thought_signature": "aW1n"}},
}]  # fmt: skip
CHAT_MESSAGE: dict[str, Any] = {
    "role": "assistant", "content": TEXT, "refusal": None, "reasoning": "Let me see.",
    "reasoning_details": [
        {"thinking": "Let me see.", "signature": "c2ln"}, {"thinking": "", "signature": "aW1n"},
    ],
    "annotations": [ANNOTATION], "images": IMAGES, "tool_calls": CALLS,
}  # fmt: skip
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "gemini-3",
    "choices": [{"index": 0, "message": CHAT_MESSAGE, "logprobs": None,
                 "finish_reason": "tool_calls"}],
    "usage": CHAT_USAGE,
}  # fmt: skip
