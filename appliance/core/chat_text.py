"""What a chat stream in OpenAI's format said, read without making objects of its events.

Most streams that bring no usage are of this kind, with text and nothing else in them; the parser
skips all but the text, which costs half of reading the events whole.
"""

from collections.abc import Sequence

import msgspec

from appliance.core.json_reader import LazyDocuments


class _Said(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: object = None
    function_call: object = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Said


class _Event(msgspec.Struct, gc=False):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(list[_Event]).decode


def chat_text(documents: Sequence[object]) -> str | None:
    """The text in the order said, thoughts included; None where there is anything else."""
    if type(documents) is not LazyDocuments:
        return None
    events = documents.read_as(_decode)
    if events is None:
        return None
    pieces = []
    for event in events:
        for choice in event.choices:
            said = choice.delta
            if said.tool_calls or said.function_call:
                return None
            thought = said.reasoning_content or said.reasoning
            if thought:
                pieces.append(thought)
            if said.content:
                pieces.append(said.content)
    return "".join(pieces)
