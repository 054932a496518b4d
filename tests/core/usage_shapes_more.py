"""Usage as the other providers write it, and the table of all (0: the reply says nothing)."""

from appliance.core.usage_types import Modality, Usage
from tests.core.usage_shapes import (
    ANTHROPIC,
    ANTHROPIC_DELTA,
    ANTHROPIC_START,
    CHAT,
    CHAT_USAGE,
    GEMINI,
    OPENAI,
    RESPONSES,
    RESPONSES_USAGE,
    STREAMED,
    chat,
    openai,
)

METRICS = {
    "type": "message_stop",
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 9,
        "outputTokenCount": 31,
        "cacheReadInputTokenCount": 2,
        "cacheWriteInputTokenCount": 3,
    },
}
BEDROCK = [
    ("claude", ANTHROPIC[1][1], ANTHROPIC[1][2]),
    ("claude stream", [ANTHROPIC_START, ANTHROPIC_DELTA, METRICS], STREAMED),
    ("metrics alone", [{"outputs": [{"text": "x"}]}, METRICS], Usage(9, 31, 2, write_5m=3)),
    (
        "converse",
        [
            {
                "output": {},
                "usage": {
                    "inputTokens": 125,
                    "outputTokens": 60,
                    "totalTokens": 185,
                    "cacheReadInputTokens": 10,
                    "cacheWriteInputTokens": 20,
                    "cacheDetails": [{"ttl": "1h", "inputTokens": 15}],
                },
            }
        ],
        Usage(125, 60, 10, write_5m=5, write_1h=15),
    ),
    (
        "converse stream",
        [
            {"contentBlockDelta": {}},
            {"metrics": {"latencyMs": 9}, "usage": {"inputTokens": 3, "outputTokens": 4}},
        ],
        Usage(3, 4),
    ),
    ("llama", [{"prompt_token_count": 24, "generation_token_count": 56}], Usage(24, 56)),
    ("titan", [{"inputTextTokenCount": 5, "results": [{"tokenCount": 7}]}], Usage(5, 7)),
]
GROQ = [
    (
        "whole",
        openai(prompt_tokens=18, completion_tokens=556, queue_time=0.037, total_time=0.46),
        Usage(18, 556),
    ),
    (
        "stream",
        [
            {"x_groq": {"id": "req_1"}, "choices": [{}]},
            {
                "choices": [{"finish_reason": "stop"}],
                "x_groq": {"usage": {"prompt_tokens": 18, "completion_tokens": 9}},
            },
        ],
        Usage(18, 9),
    ),
]


def xai(text, cached, image=0, prompt=32, total=151):
    return openai(
        prompt_tokens=prompt,
        completion_tokens=9,
        total_tokens=total,
        prompt_tokens_details={
            "text_tokens": text,
            "audio_tokens": 0,
            "image_tokens": image,
            "cached_tokens": cached,
        },
        completion_tokens_details={"reasoning_tokens": 110, "audio_tokens": 0},
        num_sources_used=3,
    )


XAI = [
    ("text net of cache", xai(26, 6), Usage(26, 9, 6, thinking=110, web_search=3)),
    ("text with cache", xai(32, 6), Usage(26, 9, 6, thinking=110, web_search=3)),
    ("no text count", xai(None, 6), Usage(26, 9, 6, thinking=110, web_search=3)),
    (
        "image",
        xai(12, 0, image=20),
        Usage(12, 9, thinking=110, image=Modality(20), web_search=3),
    ),
    (
        "reasoning counted in",
        openai(
            prompt_tokens=10,
            completion_tokens=50,
            total_tokens=60,
            completion_tokens_details={"reasoning_tokens": 30},
        ),
        Usage(10, 20, thinking=30),
    ),
    ("responses", [{"object": "response", "usage": RESPONSES_USAGE}], RESPONSES),
]
DEEPSEEK_USAGE = {
    "prompt_tokens": 320,
    "completion_tokens": 100,
    "prompt_cache_hit_tokens": 256,
    "prompt_cache_miss_tokens": 64,
    "completion_tokens_details": {"reasoning_tokens": 80},
}


def without(name):
    return {key: value for key, value in DEEPSEEK_USAGE.items() if key != name}


DEEPSEEK_RESULT = Usage(64, 20, 256, thinking=80)
DEEPSEEK = [
    ("whole", openai(**DEEPSEEK_USAGE), DEEPSEEK_RESULT),
    ("no miss", openai(**without("prompt_cache_miss_tokens")), DEEPSEEK_RESULT),
    ("no hit", openai(**without("prompt_cache_hit_tokens")), DEEPSEEK_RESULT),
    ("neither", openai(**CHAT_USAGE), CHAT),
    ("messages", [ANTHROPIC_START, ANTHROPIC_DELTA], STREAMED),
]


def openrouter(**more):
    return openai(prompt_tokens=194, completion_tokens=2, **more)


OPENROUTER = [
    ("cost", openrouter(cost=0.00095), Usage(194, 2, cost_pico=950_000_000)),
    (
        "own key: what the upstream charged",
        openrouter(cost=0, cost_details={"upstream_inference_cost": 0.0011}),
        Usage(194, 2, cost_pico=1_100_000_000),
    ),
    (
        "parts",
        openrouter(
            cost_details={
                "upstream_inference_prompt_cost": 1e-05,
                "upstream_inference_completions_cost": 2e-05,
            }
        ),
        Usage(194, 2, cost_pico=30_000_000),
    ),
    ("free model", openrouter(cost=0), Usage(194, 2, cost_pico=0)),
    (
        "writes are part of the prompt",
        openrouter(cost=1, prompt_tokens_details={"cached_tokens": 90, "cache_write_tokens": 100}),
        Usage(4, 2, 90, write_5m=100, cost_pico=10**12),
    ),
    ("stream", [chat(None), *openrouter(cost=0.5)], Usage(194, 2, cost_pico=5 * 10**11)),
]
COHERE = [
    (
        "chat",
        [
            {
                "usage": {
                    "billed_units": {"input_tokens": 5, "output_tokens": 418},
                    "tokens": {"input_tokens": 71, "output_tokens": 418},
                }
            }
        ],
        Usage(5, 418),
    ),
    (
        "stream",
        [
            {"type": "content-delta"},
            {
                "type": "message-end",
                "delta": {"usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}},
            },
        ],
        Usage(3, 4),
    ),
    (
        "v1 stream",
        [
            {
                "event_type": "stream-end",
                "response": {"meta": {"tokens": {"input_tokens": 3, "output_tokens": 4}}},
            }
        ],
        Usage(3, 4),
    ),
    ("embed", [{"meta": {"billed_units": {"input_tokens": 12}}}], Usage(12)),
    ("rerank", [{"results": [], "meta": {"billed_units": {"search_units": 2}}}], Usage(requests=2)),
]
OTHERS = [
    ("ollama", [{"done": False}, {"prompt_eval_count": 26, "eval_count": 298}], Usage(26, 298)),
    (
        "llama api",
        [
            {
                "metrics": [
                    {"metric": "num_prompt_tokens", "value": 19},
                    {"metric": "num_completion_tokens", "value": 23},
                ]
            }
        ],
        Usage(19, 23),
    ),
    (
        "moonshot stream",
        [
            {
                "choices": [
                    {
                        "finish_reason": "stop",
                        "usage": {"prompt_tokens": 19, "completion_tokens": 13},
                    }
                ]
            }
        ],
        Usage(19, 13),
    ),
    ("messages from a stranger", [ANTHROPIC_START, ANTHROPIC_DELTA], STREAMED),
    ("gemini from a stranger", GEMINI[0][1], GEMINI[0][2]),
    ("nothing", [{"ok": True}], 0),
    ("not objects", [1, None, [], "usage"], 0),
]
TABLES = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google-ai-studio": GEMINI,
    "vertex": GEMINI,
    "bedrock": BEDROCK,
    "groq": GROQ,
    "xai": XAI,
    "deepseek": DEEPSEEK,
    "openrouter": OPENROUTER,
    "cohere": COHERE,
    "mistral": [*OPENAI, *OTHERS],
    "": OTHERS,
}
