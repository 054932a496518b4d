"""Faults that a caller asks for, to see what a program makes of them: `Helicone-Fault: status=503`.

Pure. Read by servers that replay, and by those started with `faults`; nowhere else.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from appliance.errors import Refusal

DELAY_S_MAX: Final = 600.0
CUT_BYTES_MAX: Final = 1 << 30
TIMES_MAX: Final = 1_000_000
WORDS: Final = re.compile(r"([a-z]+)=([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|)")
UNITS_S: Final = {"ms": 0.001, "s": 1.0, "": 1.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """`status` in place of an answer; `delay_s` before it; `cut_bytes` of the body after which the
    connection ends; for the first `times` calls that ask for it, 0: for all."""

    text: str
    status: int = 0
    delay_s: float = 0.0
    cut_bytes: int | None = None
    times: int = 0


def parse_fault(value: bytes) -> Fault:
    """Words such as `status=503; delay=2s; cut=120; times=1`. Raises Refusal 400."""
    text = value.decode("latin-1").strip()
    given: dict[str, tuple[float, str]] = {}
    for part in re.split(r"[;,]", text):
        match = WORDS.fullmatch(part.strip())
        if match is None or match[1] in given:
            raise _refused(text)
        given[match[1]] = float(match[2]), match[3]
    fault = Fault(
        text,
        int(given.pop("status", (0, ""))[0]),
        _seconds(*given.pop("delay", (0.0, "s"))),
        int(given.pop("cut")[0]) if "cut" in given else None,
        int(given.pop("times", (0, ""))[0]),
    )
    fits = fault.status == 0 or 400 <= fault.status <= 599
    fits = fits and fault.delay_s <= DELAY_S_MAX and (fault.cut_bytes or 0) <= CUT_BYTES_MAX
    if given or not fits or fault.times > TIMES_MAX:
        raise _refused(text)
    return fault


def fault_reply(fault: Fault) -> bytes:
    """The reply in a provider's place."""
    error = {
        "message": f"Asked for with Helicone-Fault: {fault.text}",
        "type": "injected_fault", "code": "injected_fault", "param": None,
    }  # fmt: skip
    body = json.dumps({"type": "error", "error": error}).encode()
    head = (
        f"HTTP/1.1 {fault.status} Injected\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def cut_pieces(pieces: list[tuple[float, bytes]], fault: Fault | None) -> list[tuple[float, bytes]]:
    """The same, delayed and cut off as the fault says. The first piece is the head."""
    if fault is None:
        return pieces
    made = [(pieces[0][0] + fault.delay_s, pieces[0][1])]
    left = CUT_BYTES_MAX if fault.cut_bytes is None else fault.cut_bytes
    for wait_s, piece in pieces[1:]:
        if left <= 0:
            break
        made.append((wait_s, piece[:left]))
        left -= len(piece)
    return made


def _seconds(number: float, unit: str) -> float:
    return number * UNITS_S[unit]


def _refused(text: str) -> Refusal:
    return Refusal(
        400, "fault_invalid",
        f"Helicone-Fault: {text[:80]!r} is not understood. It is made of status=400 to 599, "
        "delay=2s (at most 600s), cut=BYTES and times=N, with ; between them.",
    )  # fmt: skip
