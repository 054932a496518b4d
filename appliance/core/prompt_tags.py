"""Legacy prompt tags in a JSON body: unwrapped before it is sent on, kept as a template for the log
(proxy.md 7.5). Pure.

`<helicone-prompt-input key="k">v</helicone-prompt-input>` marks an input, and
`<helicone-prompt-static>…</helicone-prompt-static>` text that belongs to the prompt as it is. An
object without any tag in it is an input too: in the template a numbered tag stands for it. What is
gathered refers to the body's own parts, whose bound is that of the body.
"""

import re
from typing import Any, Final, NamedTuple

from appliance.errors import Refusal

DEPTH_MAX: Final = 64

TAG: Final = "<helicone-prompt-"
INPUT_BEGIN: Final = "<helicone-prompt-input"
INPUT_END: Final = "</helicone-prompt-input>"
STATIC_BEGIN: Final = "<helicone-prompt-static>"
STATIC_END: Final = "</helicone-prompt-static>"
# The rest of an opening tag, behind its name.
KEY: Final = re.compile(r'\s{0,16}key="([^"]{0,256})"\s{0,16}>')


class Template(NamedTuple):
    """What the log keeps of a prompt: the body with tags for what changes, and what they held."""

    template: Any
    inputs: dict[str, str]
    auto_inputs: list[Any]

    def as_logged(self) -> dict[str, Any]:
        """The object of the log message, in its own spelling (proxy.md 9.1)."""
        return {
            "template": self.template,
            "inputs": self.inputs,
            "autoInputs": self.auto_inputs,
        }


def unwrapped(document: object) -> tuple[dict[str, Any], Template]:
    """A JSON body without its tags, and the template of it. One without a tag is given back as the
    same object.

    Raises Refusal 400 for what is no JSON object: a prompt id was given for it.
    """
    if not isinstance(document, dict):
        raise Refusal(
            400,
            "prompt_body_invalid",
            "The body is not a JSON object, so Helicone-Prompt-Id cannot read its prompt. Leave the"
            " header out, or set Helicone-Prompt-Mode to deactivated.",
        )
    reading = _Reading()
    plain, template = reading.fields(document, DEPTH_MAX)
    logged = Template(template, reading.inputs, reading.auto_inputs)
    return (plain if reading.tags else document), logged


class _Reading:
    """One walk over a body; each step gives a value as it is sent and as the template has it."""

    def __init__(self) -> None:
        self.tags = 0
        self.inputs: dict[str, str] = {}
        self.auto_inputs: list[Any] = []

    def value(self, value: Any, depth: int) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        if depth < 0:
            what = f"The body is nested deeper than {DEPTH_MAX} levels."
            raise Refusal(400, "prompt_body_invalid", what)
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, list):
            pairs = [self.value(one, depth - 1) for one in value]
            return [plain for plain, _ in pairs], [template for _, template in pairs]
        if isinstance(value, dict):
            return self.object(value, depth)
        return value, value

    def object(self, value: dict[str, Any], depth: int) -> tuple[Any, Any]:
        tags, autos = self.tags, len(self.auto_inputs)
        plain, template = self.fields(value, depth)
        if self.tags > tags:
            return plain, template
        # Nothing in it is marked: it is an input as a whole, and its parts are none.
        del self.auto_inputs[autos:]
        self.auto_inputs.append(value)
        return value, f"<helicone-auto-prompt-input idx={autos} />"

    def fields(self, value: dict[str, Any], depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
        pairs = {name: self.value(field, depth - 1) for name, field in value.items()}
        return (
            {name: plain for name, (plain, _) in pairs.items()},
            {name: template for name, (_, template) in pairs.items()},
        )

    def string(self, text: str, *, static: bool = True) -> tuple[str, str]:
        """`static` False: inside a static text, where only inputs can be."""
        if TAG not in text:
            return text, text
        # Where the last tag is closed: behind that, no opening one is looked at.
        closed = text.rfind(INPUT_END), text.rfind(STATIC_END) if static else -1
        plain: list[str] = []
        template: list[str] = []
        at = 0
        while (tag := _next_tag(text, at, *closed)) is not None:
            self.tags += 1
            if tag.key is None:
                held, kept = self.string(tag.held, static=False)
                kept = STATIC_BEGIN + kept + STATIC_END
            else:
                held, kept = tag.held, f'{INPUT_BEGIN} key="{tag.key}" />'
                self.inputs[tag.key] = held.strip()
            plain += (text[at : tag.begin], held)
            template += (text[at : tag.begin], kept)
            at = tag.end
        return "".join([*plain, text[at:]]), "".join([*template, text[at:]])


class _Tag(NamedTuple):
    """A whole tag in a text. `key` None: static."""

    begin: int
    end: int
    key: str | None
    held: str


def _next_tag(text: str, at: int, input_closed: int, static_closed: int) -> _Tag | None:
    """The next tag that is closed; what is not is ordinary text."""
    while (begin := text.find(TAG, at)) >= 0:
        opening = None
        if text.startswith(STATIC_BEGIN, begin):
            at, close, last = begin + len(STATIC_BEGIN), STATIC_END, static_closed
        else:
            if text.startswith(INPUT_BEGIN, begin):
                opening = KEY.match(text, begin + len(INPUT_BEGIN))
            if opening is None:
                at = begin + len(TAG)
                continue
            at, close, last = opening.end(), INPUT_END, input_closed
        if at <= last:
            end = text.find(close, at)
            return _Tag(begin, end + len(close), opening[1] if opening else None, text[at:end])
    return None
