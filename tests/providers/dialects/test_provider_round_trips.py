"""Chat to Gemini or Converse and back keeps what was meant: requests, replies and streams, whatever
is in them and however their bytes are cut.

The providers' side is played here: what their formats mean is read and written by hand.
"""

import base64
import json
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.providers.dialects import bedrock, bedrock_claude, gemini, vertex
from tests.providers.dialects import bedrock_samples, gemini_samples
from tests.providers.dialects.bedrock_types import ConverseRequest
from tests.providers.dialects.gemini_types import GenerateContentRequest
from tests.providers.dialects.official import chat_of, check_request

HEAD = {"model": "m", "created": 7, "id": "chatcmpl-1"}
FLASH = SimpleNamespace(provider_model_id="gemini-2.5-flash", max_output_tokens=65536)
NOVA = SimpleNamespace(provider_model_id="amazon.nova-pro-v1:0", max_output_tokens=5120)
few = settings(max_examples=30, deadline=None)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,15}", fullmatch=True)
ids = st.from_regex(r"(call|tooluse)_[a-zA-Z0-9]{1,20}", fullmatch=True)
arguments = st.dictionaries(words, st.one_of(st.integers(-9, 9), words, st.none()), max_size=3)
signatures = st.binary(min_size=3, max_size=9).map(lambda data: base64.b64encode(data).decode())
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def compact(value) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def function(id, name, value):
    called = {"name": name, "arguments": compact(value)}
    return {"id": id, "type": "function", "function": called}


calls = st.lists(
    st.builds(function, ids, names, arguments), max_size=3, unique_by=lambda call: call["id"]
)
thoughts = st.lists(
    st.builds(lambda text, sign: {"thinking": text, "signature": sign}, words, signatures),
    max_size=2, unique_by=lambda detail: detail["signature"],
)  # fmt: skip
parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, words),
    st.just({"type": "image_url", "image_url": {"url": PIXEL}}),
)


@st.composite
def conversations(draw):
    """Messages as a careful client writes them: one way to say each thing."""
    messages = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(words)})
    for turn in range(draw(st.integers(1, 3))):
        content = draw(st.lists(parts, min_size=1, max_size=3))
        messages.append({"role": "user", "content": content})
        assistant = {"role": "assistant", "content": draw(words)}
        details = draw(thoughts)
        if details:
            assistant["reasoning_details"] = details
        said = [{**call, "id": f"{call['id']}-{turn}"} for call in draw(calls)]
        if said:
            assistant["tool_calls"] = said
        messages.append(assistant)
        for call in said:
            result = compact(draw(arguments))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    return messages


def tools_of(messages):
    """Every function that the messages speak of."""
    found = {
        call["function"]["name"] for message in messages for call in message.get("tool_calls", ())
    }
    return [{"type": "function", "function": {"name": name}} for name in sorted(found)]


def told(messages):
    """What messages mean: who said what, in order; neighbours of one role are one."""
    found = []
    for message in messages:
        role = "user" if message["role"] == "tool" else message["role"]
        content = message["content"]
        pieces = [content] if isinstance(content, str) else content
        if message["role"] == "tool":
            pieces = [("result", message["tool_call_id"], json.loads(content))]
        said = [
            *(("thought", one["thinking"]) for one in message.get("reasoning_details", ())),
            *(_piece(piece) for piece in pieces),
            *(_call(call) for call in message.get("tool_calls", ())),
        ]
        if found and found[-1][0] == role:
            found[-1][1].extend(said)
        else:
            found.append((role, said))
    return found


def _piece(piece):
    if isinstance(piece, str):
        return ("text", piece)
    if isinstance(piece, tuple):
        return piece
    if piece["type"] == "text":
        return ("text", piece["text"])
    return ("image", piece["image_url"]["url"])


def _call(call):
    return ("call", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))


def told_to_gemini(body):
    found = []
    system = body.get("system_instruction", {"parts": []})["parts"]
    if system:
        found.append(("system", [("text", part["text"]) for part in system]))
    for turn in body["contents"]:
        role = {"model": "assistant", "user": "user"}[turn["role"]]
        said = [_part(part) for part in turn["parts"]]
        if found and found[-1][0] == role:
            found[-1][1].extend(said)
        else:
            found.append((role, said))
    return found


def _part(part):
    if part.get("thought"):
        return ("thought", part["text"])
    if "text" in part:
        return ("text", part["text"])
    if "inlineData" in part:
        inline = part["inlineData"]
        return ("image", f"data:{inline['mimeType']};base64,{inline['data']}")
    if "functionCall" in part:
        call = part["functionCall"]
        return ("call", call["id"], call["name"], call["args"])
    answer = part["functionResponse"]
    return ("result", answer["id"], answer["response"])


def told_to_converse(body):
    found = []
    if body.get("system"):
        found.append(("system", [("text", block["text"]) for block in body["system"]]))
    for turn in body["messages"]:
        found.append((turn["role"], [_block(block) for block in turn["content"]]))
    return found


def _block(block):
    ((kind, value),) = block.items()
    if kind == "text":
        return ("text", value)
    if kind == "image":
        return ("image", f"data:image/{value['format']};base64,{value['source']['bytes']}")
    if kind == "toolUse":
        return ("call", value["toolUseId"], value["name"], value["input"])
    if kind == "toolResult":
        return ("result", value["toolUseId"], json.loads(value["content"][0]["text"]))
    return ("thought", value["reasoningText"]["text"])


@few
@given(conversations())
def test_requests_mean_the_same_to_gemini(messages):
    chat = {"messages": messages, "tools": tools_of(messages)}
    for dialect in (gemini, vertex):
        body = dialect.request_from_chat(chat, model=FLASH, stream=False)
        check_request(GenerateContentRequest, body)
        assert told_to_gemini(body) == told(messages)
        signed = {part["thoughtSignature"] for turn in body["contents"] for part in turn["parts"]
                  if "thoughtSignature" in part}  # fmt: skip
        assert signed == {detail["signature"] for message in messages
                          for detail in message.get("reasoning_details", ())}  # fmt: skip


@few
@given(conversations())
def test_requests_mean_the_same_to_converse(messages):
    chat = {"messages": messages, "tools": tools_of(messages)}
    body = bedrock.request_from_chat(chat, model=NOVA, stream=False)
    check_request(ConverseRequest, body)
    assert told_to_converse(body) == told(messages)
    roles = [turn["role"] for turn in body["messages"]]
    assert all(one != two for one, two in pairwise(roles))


@st.composite
def replies(draw):
    """A reply as (thoughts, text, calls, reason, counts)."""
    said = draw(calls)
    reason = "tool_calls" if said else draw(st.sampled_from(["stop", "length", "content_filter"]))
    counts = [draw(st.integers(0, 99)) for _ in range(4)]
    return draw(thoughts), draw(words), said, reason, counts


def meaning(chat):
    """What a chat reply says, without what formats add."""
    choice = chat["choices"][0]
    message, usage = choice["message"], chat["usage"]
    details = [(one["thinking"], one["signature"]) for one in message.get("reasoning_details", ())]
    called = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls", ())
    ]
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    counts = usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"], cached
    thinking = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    return details, message["content"], called, choice["finish_reason"], counts, thinking


def meant(reply, *, thinking: bool):
    details, text, said, reason, (fresh, cached, output, thought) = reply
    if not thinking:
        thought = 0
    called = [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
              for call in said]  # fmt: skip
    counts = fresh + cached, output + thought, fresh + cached + output + thought, cached
    return (
        [(one["thinking"], one["signature"]) for one in details], text, called, reason, counts,
        thought,
    )  # fmt: skip


GEMINI_REASONS = {"tool_calls": "STOP", "stop": "STOP", "length": "MAX_TOKENS",
                  "content_filter": "SAFETY"}  # fmt: skip


def gemini_parts(reply):
    details, text, said, _, _ = reply
    return [
        *({"text": one["thinking"], "thought": True, "thoughtSignature": one["signature"]}
          for one in details),
        {"text": text},
        *({"functionCall": {"id": call["id"], "name": call["function"]["name"],
                            "args": json.loads(call["function"]["arguments"])}} for call in said),
    ]  # fmt: skip


def gemini_usage(reply):
    fresh, cached, output, thought = reply[4]
    return {"promptTokenCount": fresh + cached, "cachedContentTokenCount": cached,
            "candidatesTokenCount": output, "thoughtsTokenCount": thought}  # fmt: skip


def gemini_reply(reply):
    candidate = {"content": {"role": "model", "parts": gemini_parts(reply)},
                 "finishReason": GEMINI_REASONS[reply[3]]}  # fmt: skip
    return {"candidates": [candidate], "usageMetadata": gemini_usage(reply)}


def gemini_stream(reply):
    events = [gemini_samples.event(part) for part in gemini_parts(reply)]
    last = gemini_samples.event(finishReason=GEMINI_REASONS[reply[3]])
    return gemini_samples.sse(*events, {**last, "usageMetadata": gemini_usage(reply)})


CONVERSE_REASONS = {"tool_calls": "tool_use", "stop": "end_turn", "length": "max_tokens",
                    "content_filter": "guardrail_intervened"}  # fmt: skip


def converse_usage(reply):
    fresh, cached, output, _ = reply[4]
    return {"inputTokens": fresh, "outputTokens": output, "cacheReadInputTokens": cached}


def converse_reply(reply):
    details, text, said, reason, _ = reply
    content = [
        *({"reasoningContent": {"reasoningText": {"text": one["thinking"],
                                                  "signature": one["signature"]}}}
          for one in details),
        {"text": text},
        *({"toolUse": {"toolUseId": call["id"], "name": call["function"]["name"],
                       "input": json.loads(call["function"]["arguments"])}} for call in said),
    ]  # fmt: skip
    return {"output": {"message": {"role": "assistant", "content": content}},
            "stopReason": CONVERSE_REASONS[reason], "usage": converse_usage(reply)}  # fmt: skip


def converse_stream(reply):
    details, text, said, reason, _ = reply
    events = [("messageStart", {"role": "assistant"})]
    for index, one in enumerate(details):
        events += [
            bedrock_samples.delta(index, reasoningContent={"text": one["thinking"]}),
            bedrock_samples.delta(index, reasoningContent={"signature": one["signature"]}),
            bedrock_samples.stop(index),
        ]
    events += [bedrock_samples.delta(10, text=text[:3]), bedrock_samples.delta(10, text=text[3:]),
               bedrock_samples.stop(10)]  # fmt: skip
    for index, call in enumerate(said, 11):
        events.append(bedrock_samples.call(index, call["id"], call["function"]["name"]))
        for piece in (call["function"]["arguments"][:4], call["function"]["arguments"][4:]):
            events.append(bedrock_samples.delta(index, toolUse={"input": piece}))
        events.append(bedrock_samples.stop(index))
    events.append(("messageStop", {"stopReason": CONVERSE_REASONS[reason]}))
    events.append(("metadata", {"usage": converse_usage(reply)}))
    return b"".join(bedrock_samples.event(*event) for event in events)


WAYS = [
    (gemini, gemini_reply, gemini_stream, True),
    (bedrock, converse_reply, converse_stream, False),
]


@pytest.mark.parametrize(("dialect", "write", "write_stream", "thinking"), WAYS)
@few
@given(reply=replies(), cuts=st.lists(st.integers(0, 10**6), max_size=8))
def test_replies_and_streams_mean_the_same(dialect, write, write_stream, thinking, reply, cuts):
    chat = dialect.reply_to_chat(write(reply), **HEAD)
    chat_of(chat)
    assert meaning(chat) == meant(reply, thinking=thinking)
    source = write_stream(reply)
    out = fed(dialect.StreamToChat(**HEAD), cut_up(source, cuts))
    assert out == fed(dialect.StreamToChat(**HEAD), [source])
    assert meaning(put_together(out)) == meant(reply, thinking=thinking)


def put_together(stream: bytes):
    """The message of a chat stream, as a client adds it up."""
    assert stream.endswith(b"data: [DONE]\n\n")
    message = {"role": "assistant", "content": ""}
    reason, usage = None, None
    for event in stream.decode().split("\n\n")[:-2]:
        chunk = json.loads(event.removeprefix("data: "))
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            if "reasoning_details" in delta:
                message["reasoning_details"] = delta["reasoning_details"]
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    message.setdefault("tool_calls", []).append(call)
                else:
                    own = message["tool_calls"][call["index"]]["function"]
                    own["arguments"] += call["function"]["arguments"]
    return {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}


def cut_up(source: bytes, cuts):
    edges = [0, *sorted(cut % (len(source) + 1) for cut in cuts), len(source)]
    return [source[start:end] for start, end in pairwise(edges)]


def fed(stream, pieces) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces]) + stream.finish()


@few
@given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_however_they_are_cut(noise, cuts):
    head = {":event-type": "chunk", ":message-type": "event"}
    framed = bedrock_samples.frame(head, noise)
    for dialect in (gemini, bedrock, bedrock_claude):
        for source in (noise, b"data: " + noise + b"\n\n", framed, framed + noise):
            whole = fed(dialect.StreamToChat(**HEAD), [source])
            assert fed(dialect.StreamToChat(**HEAD), cut_up(source, cuts)) == whole
            assert b"[DONE]" not in whole
