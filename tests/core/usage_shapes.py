"""Usage as OpenAI, Anthropic and Google write it: (what it shows, documents, what it comes to)."""

from appliance.core.usage_types import Modality, Usage

CHAT_USAGE = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 50,
        "rejected_prediction_tokens": 10,
    },
}
CHAT = Usage(input=86, output=108, cached_input=1920, thinking=192)
RESPONSES_USAGE = {
    "input_tokens": 328,
    "input_tokens_details": {"cached_tokens": 128},
    "output_tokens": 52,
    "output_tokens_details": {"reasoning_tokens": 32},
    "total_tokens": 380,
}
RESPONSES = Usage(input=200, output=20, cached_input=128, thinking=32)


def chat(usage, **more):
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "usage": usage, **more}


def openai(**usage):
    return [chat(usage)]


OPENAI = [
    ("chat with cache, reasoning and predictions", openai(**CHAT_USAGE), CHAT),
    ("plain chat", openai(prompt_tokens=9, completion_tokens=12, total_tokens=21), Usage(9, 12)),
    (
        "details null",
        openai(prompt_tokens=9, completion_tokens=12, prompt_tokens_details=None),
        Usage(9, 12),
    ),
    (
        "cached above prompt is not part of it",
        openai(prompt_tokens=5, completion_tokens=1, prompt_tokens_details={"cached_tokens": 9}),
        Usage(5, 1, cached_input=9),
    ),
    (
        "audio in and out",
        openai(
            prompt_tokens=150,
            completion_tokens=80,
            prompt_tokens_details={"text_tokens": 50, "audio_tokens": 100, "cached_tokens": 0},
            completion_tokens_details={"text_tokens": 20, "audio_tokens": 60},
        ),
        Usage(50, 20, audio=Modality(100, 0, 60)),
    ),
    (
        "realtime audio from the cache",
        openai(
            input_tokens=150,
            output_tokens=80,
            input_token_details={
                "text_tokens": 50,
                "audio_tokens": 100,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 24, "audio_tokens": 40},
            },
            output_token_details={"text_tokens": 20, "audio_tokens": 60},
        ),
        Usage(26, 20, cached_input=24, audio=Modality(60, 40, 60)),
    ),
    ("embeddings", openai(prompt_tokens=8, total_tokens=8), Usage(8)),
    ("total alone", openai(total_tokens=38), Usage(38)),
    (
        "transcription",
        [
            {
                "text": "Hello",
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
                    "output_tokens": 45,
                    "total_tokens": 59,
                },
            }
        ],
        Usage(0, 45, audio=Modality(14)),
    ),
    (
        "transcription by the second",
        [{"text": "x", "usage": {"type": "duration", "seconds": 27}}],
        0,
    ),
    (
        "image with details of the prompt only",
        [
            {
                "created": 1,
                "data": [{"b64_json": "aGk="}],
                "usage": {
                    "total_tokens": 100,
                    "input_tokens": 50,
                    "output_tokens": 50,
                    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                },
            }
        ],
        Usage(10, 0, image=Modality(40, 0, 50)),
    ),
    (
        "responses with searches",
        [
            {
                "object": "response",
                "output": [{"type": "web_search_call"}, {"type": "message"}],
                "usage": RESPONSES_USAGE,
            }
        ],
        Usage(200, 20, 128, thinking=32, web_search=1),
    ),
    (
        "gateway extras",
        openai(
            prompt_tokens=100,
            completion_tokens=10,
            prompt_tokens_details={
                "cached_tokens": 40,
                "cache_write_tokens": 30,
                "cache_write_details": {"write_5m_tokens": 10, "write_1h_tokens": 20},
            },
        ),
        Usage(60, 10, 40, write_5m=10, write_1h=20),
    ),
    (
        "writes without a split are 5 minutes",
        openai(prompt_tokens=9, prompt_tokens_details={"cache_write_tokens": 30}),
        Usage(9, write_5m=30),
    ),
    (
        "stream with null usage before the last chunk",
        [chat(None, choices=[{}]), chat(None), chat(CHAT_USAGE, choices=[])],
        CHAT,
    ),
    (
        "running totals: the last counts",
        [
            chat({"prompt_tokens": 5, "completion_tokens": 1}),
            chat({"prompt_tokens": 5, "completion_tokens": 7}),
        ],
        Usage(5, 7),
    ),
    (
        "responses stream",
        [
            {"type": "response.created", "response": {"usage": None}},
            {"type": "response.output_text.delta", "delta": "x"},
            {"type": "response.completed", "response": {"output": [], "usage": RESPONSES_USAGE}},
        ],
        RESPONSES,
    ),
    ("no usage", [{"choices": []}], 0),
    ("nonsense", openai(prompt_tokens="many", completion_tokens=-4, total_tokens=True), Usage()),
    ("absurd", openai(prompt_tokens=10**15, completion_tokens=3), Usage(0, 3)),
]
ANTHROPIC_START = {
    "type": "message_start",
    "message": {
        "model": "claude-sonnet-4-5",
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            "output_tokens": 1,
        },
    },
}
ANTHROPIC_DELTA = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 15}}
STREAMED = Usage(25, 15, 1000, write_5m=60, write_1h=40)
ANTHROPIC = [
    (
        "message",
        [{"type": "message", "usage": {"input_tokens": 2095, "output_tokens": 503}}],
        Usage(2095, 503),
    ),
    (
        "flat cache writes are 5 minutes",
        [
            {
                "type": "message",
                "usage": {
                    "input_tokens": 5,
                    "output_tokens": 6,
                    "cache_creation_input_tokens": 70,
                    "cache_read_input_tokens": 8,
                },
            }
        ],
        Usage(5, 6, 8, write_5m=70),
    ),
    (
        "searches",
        [
            {
                "type": "message",
                "usage": {
                    "input_tokens": 105,
                    "output_tokens": 60,
                    "server_tool_use": {"web_search_requests": 2},
                },
            }
        ],
        Usage(105, 60, web_search=2),
    ),
    ("stream", [ANTHROPIC_START, {"type": "ping"}, ANTHROPIC_DELTA], STREAMED),
    (
        "a zero in the delta undoes nothing",
        [
            ANTHROPIC_START,
            {"type": "message_delta", "usage": {"input_tokens": 0, "output_tokens": 15}},
        ],
        STREAMED,
    ),
    (
        "the delta names what the start did not",
        [
            {"type": "message_start", "message": {"usage": {"input_tokens": 0}}},
            {"type": "message_delta", "usage": {"input_tokens": 9, "output_tokens": 2}},
        ],
        Usage(9, 2),
    ),
    ("count_tokens is free", [{"input_tokens": 14}], Usage(14, requests=0, cost_pico=0)),
    ("chat at Anthropic", openai(**CHAT_USAGE), CHAT),
]
GEMINI = [
    (
        "counts alone",
        [
            {
                "usageMetadata": {
                    "promptTokenCount": 14,
                    "candidatesTokenCount": 25,
                    "thoughtsTokenCount": 7,
                    "totalTokenCount": 46,
                }
            }
        ],
        Usage(14, 25, thinking=7),
    ),
    (
        "image, cache and tools with plural cache details",
        [
            {
                "usageMetadata": {
                    "promptTokenCount": 1500,
                    "cachedContentTokenCount": 1200,
                    "candidatesTokenCount": 40,
                    "toolUsePromptTokenCount": 60,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 1242},
                        {"modality": "IMAGE", "tokenCount": 258},
                    ],
                    "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 60}],
                    "cacheTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 1000},
                        {"modality": "IMAGE", "tokenCount": 200},
                    ],
                    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 40}],
                }
            }
        ],
        Usage(302, 40, 1000, image=Modality(58, 200, 0)),
    ),
    (
        "singular cache details, audio out, a document",
        [
            {
                "usageMetadata": {
                    "promptTokenCount": 110,
                    "candidatesTokenCount": 90,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 50},
                        {"modality": "DOCUMENT", "tokenCount": 60},
                    ],
                    "cacheTokenDetails": [{"modality": "TEXT", "tokenCount": 20}],
                    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 90}],
                }
            }
        ],
        Usage(30, 0, 20, audio=Modality(0, 0, 90), file=Modality(60)),
    ),
    (
        "stream: totals grow",
        [
            {"candidates": [{}], "usageMetadata": {"promptTokenCount": 4}},
            {"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 9}},
        ],
        Usage(4, 9),
    ),
    ("countTokens is free", [{"totalTokens": 31}], Usage(31, requests=0, cost_pico=0)),
    (
        "embeddings on Vertex",
        [{"predictions": [{"embeddings": {"statistics": {"token_count": 6}}}] * 2}],
        Usage(12),
    ),
    ("claude on Vertex", [ANTHROPIC_START, ANTHROPIC_DELTA], STREAMED),
    ("chat at Google", openai(**CHAT_USAGE), CHAT),
]
