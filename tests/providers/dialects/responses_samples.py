"""A reply of the Responses API and the stream that says the same."""

from typing import Any

from tests.providers.dialects.samples import sse

TEXT = "Größe: 12 € 😀"
USAGE = {
    "input_tokens": 50, "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 70,
}  # fmt: skip
CITED = {
    "type": "url_citation", "url": "https://example.com/a", "title": "A page", "start_index": 0,
    "end_index": 5,
}  # fmt: skip
REASONING = {
    "id": "rs_1", "type": "reasoning", "status": "completed", "encrypted_content": "c2ln",
    "summary": [{"type": "summary_text", "text": "Let me see."},
                {"type": "summary_text", "text": "Yes."}],
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
    "content": [{"type": "output_text", "text": TEXT, "annotations": [CITED]}],
}  # fmt: skip
CALL = {
    "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
    "name": "weather", "arguments": "{\"city\":\"Berlin\"}",
}  # fmt: skip
CUSTOM = {
    "id": "ctc_1", "type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls",
}  # fmt: skip
HEAD: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 7, "model": "gpt-5", "error": None,
    "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
    "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
}  # fmt: skip
REPLY = {
    **HEAD, "status": "completed", "output": [REASONING, MESSAGE, CALL, CUSTOM], "usage": USAGE,
}  # fmt: skip


def _numbered(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


EVENTS = _numbered(
    {"type": "response.created", "response": {**HEAD, "status": "in_progress", "output": []}},
    {"type": "response.in_progress", "response": {**HEAD, "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0,
     "item": {**REASONING, "summary": [], "encrypted_content": None}},
    {"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0,
     "summary_index": 0, "part": {"type": "summary_text", "text": ""}},
    {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0,
     "summary_index": 0, "delta": "Let me "},
    {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0,
     "summary_index": 0, "delta": "see."},
    {"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0,
     "summary_index": 1, "part": {"type": "summary_text", "text": ""}},
    {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0,
     "summary_index": 1, "delta": "Yes."},
    {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
    {"type": "response.output_item.added", "output_index": 1, "item": {**MESSAGE, "content": []}},
    {"type": "response.content_part.added", "item_id": "msg_1", "output_index": 1,
     "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1,
     "content_index": 0, "delta": "Größe: ", "logprobs": []},
    {"type": "response.output_text.annotation.added", "item_id": "msg_1", "output_index": 1,
     "content_index": 0, "annotation_index": 0, "annotation": CITED},
    {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1,
     "content_index": 0, "delta": "12 € 😀", "logprobs": []},
    {"type": "response.output_text.done", "item_id": "msg_1", "output_index": 1,
     "content_index": 0, "text": TEXT, "logprobs": []},
    {"type": "response.output_item.done", "output_index": 1, "item": MESSAGE},
    {"type": "response.output_item.added", "output_index": 2, "item": {**CALL, "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 2,
     "delta": "{\"city\":"},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 2,
     "delta": "\"Berlin\"}"},
    {"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 2,
     "arguments": CALL["arguments"]},
    {"type": "response.output_item.done", "output_index": 2, "item": CALL},
    {"type": "response.output_item.added", "output_index": 3, "item": {**CUSTOM, "input": ""}},
    {"type": "response.custom_tool_call_input.delta", "item_id": "ctc_1", "output_index": 3,
     "delta": "ls"},
    {"type": "response.output_item.done", "output_index": 3, "item": CUSTOM},
    {"type": "response.completed", "response": REPLY},
)  # fmt: skip
STREAM = sse(*EVENTS)

CHAT_USAGE = {
    "prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70,
    "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5},
}  # fmt: skip
CHAT_MESSAGE: dict[str, Any] = {
    "role": "assistant", "content": TEXT, "refusal": None, "reasoning": "Let me see.\n\nYes.",
    "reasoning_details": [
        {"thinking": "Let me see.\n\nYes.", "signature": "c2ln", "id": "rs_1"},
    ],
    "annotations": [{
        "type": "url_citation",
        "url_citation": {"url": "https://example.com/a", "title": "A page", "start_index": 0,
                         "end_index": 5},
    }],
    "tool_calls": [
        {"id": "call_1", "type": "function",
         "function": {"name": "weather", "arguments": "{\"city\":\"Berlin\"}"}},
        {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
    ],
}  # fmt: skip
CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "gpt-5",
    "choices": [{"index": 0, "message": CHAT_MESSAGE, "logprobs": None,
                 "finish_reason": "tool_calls"}],
    "usage": CHAT_USAGE,
}  # fmt: skip
