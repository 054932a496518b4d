"""Chat to X and back keeps what was meant: requests, replies and streams, whatever is in them and
however their bytes are cut."""

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.providers.dialects import anthropic, responses
from tests.providers.dialects.official import CLAUDE, GPT, chat_of

HEAD = {"model": "m", "created": 7, "id": "chatcmpl-1"}
EXPLICIT = {"prompt_cache_options": {"mode": "explicit"}}
few = settings(max_examples=30, deadline=None)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,15}", fullmatch=True)
ids = st.from_regex(r"(call|toolu)_[a-zA-Z0-9]{1,20}", fullmatch=True)
arguments = st.dictionaries(words, st.one_of(st.integers(-9, 9), words, st.none()), max_size=3)
urls = st.sampled_from(["https://a.test/b.png", "data:image/png;base64,iVBORw0KGgo="])


def compact(value) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


calls = st.lists(
    st.builds(
        lambda id, name, given: {
            "id": id, "type": "function", "function": {"name": name, "arguments": compact(given)},
        },
        ids, names, arguments,
    ),
    max_size=3, unique_by=lambda call: call["id"],
)  # fmt: skip
details = st.lists(
    st.builds(lambda text, sign: {"thinking": text, "signature": sign}, words, names), max_size=2
)
parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, words),
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, urls),
    st.just({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x",
                                      "filename": "a.pdf"}}),
)  # fmt: skip


@st.composite
def conversations(draw):
    """Messages as a careful client writes them: one way to say each thing."""
    messages = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(words)})
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.one_of(words, st.lists(parts, min_size=1, max_size=3)))
        messages.append({"role": "user", "content": content})
        said = draw(calls)
        assistant = {"role": "assistant", "content": draw(words)}
        thoughts = draw(details)
        if thoughts:
            assistant["reasoning_details"] = thoughts
        if said:
            assistant["tool_calls"] = said
        messages.append(assistant)
        for call in said:
            result = draw(st.one_of(words, st.just([{"type": "text", "text": "r"}])))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    messages.append({"role": "user", "content": draw(words)})
    return messages


def without_reasoning(messages, details=("thinking", "signature")):
    """`reasoning` repeats what the details say; an id is the service's own."""
    found = []
    for message in messages:
        message = {name: value for name, value in message.items() if name != "reasoning"}
        if "reasoning_details" in message:
            message["reasoning_details"] = [
                {name: detail[name] for name in details} for detail in message["reasoning_details"]
            ]
        found.append(message)
    return found


@few
@given(conversations())
def test_conversations_through_anthropic(messages):
    chat = {"model": "m", "messages": messages, "max_tokens": 5, **EXPLICIT}
    back = anthropic.request_to_chat(anthropic.request_from_chat(chat, model=CLAUDE, stream=False))
    assert without_reasoning(back["messages"]) == messages


@few
@given(conversations())
def test_conversations_through_responses(messages):
    chat = {"model": "m", "messages": messages}
    back = responses.request_to_chat(responses.request_from_chat(chat, model=GPT, stream=False))
    assert without_reasoning(back["messages"]) == messages


@st.composite
def replies(draw):
    """A chat reply with everything that both other formats can say."""
    message = {"role": "assistant", "content": draw(st.one_of(st.none(), words)), "refusal": None}
    thoughts = draw(details)[:1]
    if thoughts:
        message["reasoning"] = thoughts[0]["thinking"]
        message["reasoning_details"] = thoughts
    said = draw(calls)
    if said:
        message["tool_calls"] = said
    reason = "tool_calls" if said else draw(st.sampled_from(["stop", "length"]))
    cached, fresh, output, thinking = (draw(st.integers(0, 99)) for _ in range(4))
    usage = {
        "prompt_tokens": cached + fresh,
        "completion_tokens": output + thinking,
        "total_tokens": cached + fresh + output + thinking,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}


def meaning(chat):
    """What a chat reply says, without what formats add: ids of items, counts of zero."""
    choice = chat["choices"][0]
    message = without_reasoning([choice["message"]])[0]
    usage = chat["usage"]
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    thinking = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    counts = [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
    message = {name: value for name, value in message.items() if value not in (None, "")}
    reasoning = choice["message"].get("reasoning")
    return message, reasoning, choice["finish_reason"], counts, cached, thinking


@few
@given(replies())
def test_replies_through_both(chat):
    for dialect in (anthropic, responses):
        back = dialect.reply_to_chat(dialect.reply_from_chat(chat), **HEAD)
        chat_of(back)
        assert meaning(back) == meaning(chat)


def chunks_of(chat, draw):
    """A chat reply as a stream, its texts in pieces."""
    choice = chat["choices"][0]
    message = choice["message"]
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning": piece} for piece in pieces(message.get("reasoning"), draw)]
    deltas += [{"content": piece} for piece in pieces(message["content"], draw)]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = {"name": call["function"]["name"], "arguments": ""}
        deltas.append({"tool_calls": [{**call, "index": index, "function": function}]})
        for piece in pieces(call["function"]["arguments"], draw):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    last = {}
    if "reasoning_details" in message:
        last = {"reasoning_details": message["reasoning_details"]}
    events = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    events.append({"index": 0, "delta": last, "finish_reason": choice["finish_reason"]})
    head = {**HEAD, "object": "chat.completion.chunk"}
    lines = [{**head, "choices": [event]} for event in events]
    lines.append({**head, "choices": [], "usage": chat["usage"]})
    return "".join(f"data: {json.dumps(line)}\n\n" for line in lines).encode() + b"data: [DONE]\n\n"


def pieces(text, draw):
    if not text:
        return []
    cut = draw(st.integers(0, len(text)))
    return [piece for piece in (text[:cut], text[cut:]) if piece]


def put_together(stream: bytes):
    """The message of a chat stream, as a client adds it up."""
    assert stream.endswith(b"data: [DONE]\n\n")
    message = {"role": "assistant", "content": "", "reasoning": ""}
    reason, usage = None, None
    for event in stream.decode().split("\n\n")[:-2]:
        chunk = json.loads(event.removeprefix("data: "))
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["reasoning"] += delta.get("reasoning") or ""
            message.update(
                {name: delta[name] for name in ("reasoning_details", "refusal") if name in delta}
            )
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    message.setdefault("tool_calls", []).append(call)
                else:
                    own = message["tool_calls"][call["index"]]["function"]
                    own["arguments"] += call["function"]["arguments"]
    message["reasoning"] = message["reasoning"] or None
    return {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}


def cut_up(source: bytes, cuts):
    edges = [0, *sorted(cut % (len(source) + 1) for cut in cuts), len(source)]
    return [source[start:end] for start, end in pairwise(edges)]


def fed(stream, pieces) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces]) + stream.finish()


@few
@given(replies(), st.lists(st.integers(0, 10**6), max_size=8), st.data())
def test_streams_through_both_however_they_are_cut(chat, cuts, data):
    source = chunks_of(chat, data.draw)
    for dialect in (anthropic, responses):
        middle = fed(dialect.StreamFromChat(), cut_up(source, cuts))
        assert middle == fed(dialect.StreamFromChat(), [source])
        out = fed(dialect.StreamToChat(**HEAD), cut_up(middle, cuts))
        assert out == fed(dialect.StreamToChat(**HEAD), [middle])
        assert meaning(put_together(out)) == meaning(chat)


@few
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_however_they_are_cut(noise, cuts):
    for dialect in (anthropic, responses):
        for make in (dialect.StreamFromChat, lambda d=dialect: d.StreamToChat(**HEAD)):
            for source in (noise, b"data: " + noise + b"\n\n", b"data: {}\n\n" + noise):
                assert fed(make(), cut_up(source, cuts)) == fed(make(), [source])
