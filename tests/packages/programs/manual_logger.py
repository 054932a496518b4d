"""helicone-helpers: every way of its manual logger. Arguments: the endpoint and a key."""

import asyncio
import json
import sys

from helicone_helpers import HeliconeManualLogger

endpoint, key = sys.argv[1:]
logger = HeliconeManualLogger(
    api_key=key, headers={"Helicone-User-Id": "ada"}, logging_endpoint=endpoint
)
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "ping"}]}
REPLY = {
    "model": "gpt-4o",
    "choices": [{"message": {"role": "assistant", "content": "pong"}}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 2},
}
CHUNKS = [
    {"model": "gpt-4o", "choices": [{"delta": {"content": "po"}}]},
    {
        "choices": [{"delta": {"content": "ng"}}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2},
    },
]


def case(name: str) -> dict[str, str]:
    return {
        "Helicone-Property-Case": name,
        "Helicone-Session-Id": "s-1",
        "Helicone-Session-Path": f"/{name}",
    }


def answered(recorder, reply=REPLY):
    recorder.append_results(reply)
    return reply


for provider in (None, "openai", "anthropic"):
    logger.log_request(CHAT, answered, case(f"dict-{provider}"), provider)
logger.log_request(
    {"_type": "tool", "toolName": "look", "input": {"q": 1}},
    lambda recorder: answered(recorder, {"result": 5}),
    case("tool"),
)
logger.log_request(
    {"_type": "vector_db", "operation": "search", "text": "x"},
    lambda recorder: answered(recorder, {"message": "ok"}),
    case("vector"),
)
logger.send_log(
    None,
    CHAT,
    "plain words",
    {"start_time": 1788000000.12, "end_time": 1788000001.02, "additional_headers": case("text")},
)
sse = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n"
logger.send_log(
    "openai",
    {**CHAT, "stream": True},
    sse,
    {
        "start_time": 1788000000.12,
        "end_time": 1788000001.02,
        "time_to_first_token_ms": 180.5,
        "additional_headers": case("sse"),
    },
)


async def builders():
    builder = logger.log_builder({**CHAT, "stream": True}, case("chunks"))
    for chunk in CHUNKS:
        builder.add_chunk(chunk)
    await builder.send_log()
    builder = logger.log_builder(CHAT, case("error"))
    builder.add_chunk(CHUNKS[0])
    try:
        raise ValueError("it broke")
    except ValueError as error:
        builder.set_error(error)
    await builder.send_log()
    builder = logger.log_builder(CHAT, case("cancelled"))
    builder.was_cancelled = True
    await builder.send_log()


asyncio.run(builders())
print(json.dumps("done"))
