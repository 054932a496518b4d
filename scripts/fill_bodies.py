"""Bodies of made-up calls: requests and replies as the providers' dialects write them, whole, as
streams and as errors. Deterministic: everything comes out of the `Random` that is handed in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

TEXT = (
    "the a of and to in is that for with as on this be are by from or an it at which you can will"
    " when each not has have more data value result table order report model answer question time"
    " service customer invoice payment account delivery address record field update summary list"
    " number average increase between first second last week month please explain write return"
    " function error message input output example because however therefore might could should"
    " small large quick careful open closed new old request response stream token cost latency"
)
WORDS = TEXT.split()
SYSTEMS = (
    "You are a careful assistant. Answer briefly and say when you are not sure.",
    "You sort support mail. Reply with one JSON object and nothing else.",
    "You review code. Name the file and the line, then the reason.",
)


@dataclass(frozen=True)
class Model:
    """A model as it is asked for. Of 1,000 calls it gets `weight`."""

    name: str
    provider: str
    record_name: str
    dialect: str
    base: str
    path: str
    weight: int
    tokens_per_s: int


CHAT = "/v1/chat/completions"
OPENAI = ("openai", "OPENAI", "openai", "https://api.openai.com", CHAT)
ANTHROPIC = ("anthropic", "ANTHROPIC", "anthropic", "https://api.anthropic.com", "/v1/messages")
MODELS = (
    Model("gpt-4o-mini", *OPENAI, weight=300, tokens_per_s=110),
    Model("gpt-4o", *OPENAI, weight=140, tokens_per_s=80),
    Model("gpt-4.1", *OPENAI, weight=80, tokens_per_s=90),
    Model("o4-mini", *OPENAI, weight=40, tokens_per_s=70),
    Model("claude-sonnet-4-5", *ANTHROPIC, weight=180, tokens_per_s=65),
    Model("claude-haiku-4-5", *ANTHROPIC, weight=90, tokens_per_s=140),
    Model(
        "mistral-large-latest", "mistral", "MISTRAL", "openai", "https://api.mistral.ai", CHAT,
        weight=50, tokens_per_s=60,
    ),
    Model(
        "llama-3.3-70b-versatile", "groq", "GROQ", "openai", "https://api.groq.com",
        "/openai/v1/chat/completions", weight=60, tokens_per_s=270,
    ),
    Model(
        "deepseek-chat", "deepseek", "DEEPSEEK", "openai", "https://api.deepseek.com", CHAT,
        weight=40, tokens_per_s=45,
    ),
    # Nobody's price list knows it: its cost is NULL.
    Model(
        "house-tuned-7b", "local", "LOCAL", "openai", "http://127.0.0.1:8000", CHAT,
        weight=20, tokens_per_s=30,
    ),
)  # fmt: skip

ERRORS = {
    400: "The request is not valid.",
    401: "The API key is not valid.",
    429: "Too many requests: the limit of this minute is reached.",
    500: "The server had an error.",
    529: "Overloaded.",
}


@dataclass(frozen=True)
class Talk:
    """One conversation: what was sent, what came back, and the tokens that it says it took."""

    request: bytes
    response: bytes
    completion_tokens: int


def words(random: Random, count: int) -> str:
    return " ".join(random.choices(WORDS, k=count))


def talk(random: Random, model: Model, *, stream: bool) -> Talk:
    """A conversation that went well."""
    asked, answered = random.randint(20, 160), int(random.lognormvariate(4.2, 0.7)) + 3
    history = [words(random, random.randint(10, 60)) for _ in range(2 * random.choice((0, 0, 1)))]
    said = [*history, words(random, asked)]
    messages = [
        {"role": "assistant" if index % 2 else "user", "content": text}
        for index, text in enumerate(said)
    ]
    answer = words(random, answered)
    prompt = sum(len(text) for text in said) // 4 + 20
    cached = prompt // 2 if random.random() < 0.3 else 0
    if model.dialect == "anthropic":
        return anthropic_talk(random, model, messages, answer, (prompt, cached), stream=stream)
    return openai_talk(random, model, messages, answer, (prompt, cached), stream=stream)


def openai_talk(
    random: Random,
    model: Model,
    messages: list[dict[str, str]],
    answer: str,
    tokens: tuple[int, int],
    *,
    stream: bool,
) -> Talk:
    prompt, cached = tokens
    completion = len(answer) // 4 + 1
    thinking = completion if model.name.startswith("o4") else 0
    request: dict[str, Any] = {
        "model": model.name,
        "messages": [{"role": "system", "content": random.choice(SYSTEMS)}, *messages],
        "temperature": random.choice((0, 0.2, 0.7)),
    }
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion + thinking,
        "total_tokens": prompt + completion + thinking,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }
    head = {"id": f"chatcmpl-{random.getrandbits(64):016x}", "model": model.name}
    if not stream:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer},
            "finish_reason": "stop",
        }
        reply = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return Talk(encoded(request), encoded(reply), completion + thinking)
    request |= {"stream": True, "stream_options": {"include_usage": True}}
    head["object"] = "chat.completion.chunk"
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
        for piece in pieces(answer)
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**head, "choices": [], "usage": usage})
    events = b"".join(b"data: " + encoded(chunk) + b"\n\n" for chunk in chunks)
    return Talk(encoded(request), events + b"data: [DONE]\n\n", completion + thinking)


def anthropic_talk(
    random: Random,
    model: Model,
    messages: list[dict[str, str]],
    answer: str,
    tokens: tuple[int, int],
    *,
    stream: bool,
) -> Talk:
    prompt, cached = tokens
    completion = len(answer) // 4 + 1
    request: dict[str, Any] = {
        "model": model.name,
        "max_tokens": 1024,
        "system": random.choice(SYSTEMS),
        "messages": messages,
    }
    usage: dict[str, Any] = {
        "input_tokens": prompt - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": completion,
    }
    message: dict[str, Any] = {
        "id": f"msg_{random.getrandbits(64):016x}",
        "type": "message",
        "role": "assistant",
        "model": model.name,
        "content": [{"type": "text", "text": answer}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    if not stream:
        return Talk(encoded(request), encoded(message), completion)
    request["stream"] = True
    begin = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begin},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    for piece in pieces(answer):
        delta = {"type": "text_delta", "text": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    ending: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    events += [
        {"type": "content_block_stop", "index": 0},
        {**ending, "usage": {"output_tokens": completion}},
        {"type": "message_stop"},
    ]
    response = b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + encoded(event) + b"\n\n"
        for event in events
    )
    return Talk(encoded(request), response, completion)


def error_body(model: Model, status: int) -> bytes:
    text = ERRORS[status]
    if model.dialect == "anthropic":
        return encoded({"type": "error", "error": {"type": "api_error", "message": text}})
    return encoded({"error": {"message": text, "type": "api_error", "param": None, "code": None}})


def pieces(text: str) -> list[str]:
    """About sixteen characters each, as tokens come."""
    return [text[at : at + 16] for at in range(0, len(text), 16)]


def encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
