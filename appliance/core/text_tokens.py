"""How many tokens a text has, approximately, without a vocabulary.

A linear sum over what byte-pair tokenizers react to: words and their letters, digits, signs, lines,
and characters of other scripts. Fitted to o200k: the median error is 5 % on English, code and JSON,
under 10 % on most other languages, larger on single short sentences. About 16 µs per KB.
"""

import re

CHARACTERS_MAX = 32_768  # longer text is sampled, so that no call takes the loop for a millisecond
SLICES = 16

_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = b"0123456789"
_SIGNS = bytes(c for c in range(33, 127) if c not in _LOWER + _UPPER + _DIGITS)


def _only(kept: bytes) -> bytes:
    """A table that turns all but some bytes to spaces."""
    return bytes(c if c in kept else 0x20 for c in range(256))


def _all_but(kept: bytes) -> bytes:
    return bytes(c for c in range(256) if c not in kept)


_WORDS = _only(_LOWER + _UPPER)
_CAPITALS = _only(_UPPER)
_NUMBERS = _only(_DIGITS)
_MARKS = _only(_SIGNS)
_NOT_DIGITS = _all_but(_DIGITS)
_NOT_SIGNS = _all_but(_SIGNS)

# Tokens per character of the other scripts: Han, kana, Hangul, Greek and Cyrillic, accented Latin
# (whose words are less known to the tokenizer), CJK punctuation, all others.
_SCRIPTS = (
    (re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+"), 0.76),
    (re.compile(r"[\u3040-\u30ff\uff66-\uff9f]+"), 0.68),
    (re.compile(r"[\uac00-\ud7af\u1100-\u11ff]+"), 0.70),
    (re.compile(r"[\u0370-\u052f]+"), 0.27),
    (re.compile(r"[\u0080-\u024f]+"), 0.9),
    (re.compile(r"[\u3000-\u303f\uff00-\uff65]+"), 0.3),
    (
        re.compile(
            r"[^\x00-\u024f\u0370-\u052f\u1100-\u11ff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af"
            r"\uf900-\ufaff\uff00-\uff9f]+"
        ),
        0.4,
    ),
)


def text_tokens(text: str) -> float:
    if len(text) > CHARACTERS_MAX:
        return _sampled(text)
    data = text.encode("utf-8", "replace")
    words = data.translate(_WORDS).split()
    tokens = (
        0.61 * len(words)
        + 0.095 * sum(map(len, words))
        + 0.31 * len(data.translate(_CAPITALS).split())
        + 1.1 * len(data.translate(_NUMBERS).split())
        + 0.3 * len(data.translate(None, _NOT_DIGITS))
        + 0.26 * len(data.translate(_MARKS).split())
        + 0.29 * len(data.translate(None, _NOT_SIGNS))
        + 0.59 * data.count(b"\n")
        + 0.91 * data.count(b"\n ")
    )
    if len(data) != len(text):
        for pattern, weight in _SCRIPTS:
            found = pattern.findall(text)
            if found:
                tokens += weight * sum(map(len, found))
    return tokens


def _sampled(text: str) -> float:
    size, step = CHARACTERS_MAX // SLICES, len(text) // SLICES
    slices = (text[at : at + size] for at in range(0, step * SLICES, step))
    return sum(map(text_tokens, slices)) * len(text) / (size * SLICES)
