"""scripts/tidy: what may not stand in a module that is compiled."""

import ast

import pytest

from tests.compiled.by_path import module_at

tidy = module_at("scripts/tidy.py")

TWICE = "worked out twice"
LEFT = "a generator that is left"
BASE = "are not kept"
CASES = [
    ("rest = view[send(view) :]", TWICE),
    ("rest = view[a : (b := 2)]", TWICE),
    ("rest = view[pool.take() + 1 :]", TWICE),
    ("rest = data[len(body) :]", None),
    ("rest = data[max(0, at) : found.end() + 1]", None),
    ("rest = data[at]", None),
    ("def read():\n    try:\n        yield 1\n    finally:\n        close()", LEFT),
    (
        "def read():\n    with opened() as file:\n        while True:\n            yield 1",
        LEFT,
    ),
    ("def read():\n    with opened() as file:\n        yield from file", LEFT),
    (
        "@contextmanager\ndef opened():\n    try:\n        yield 1\n    finally:\n        close()",
        None,
    ),
    ("def read():\n    try:\n        yield 1\n    except OSError:\n        note()", None),
    (
        "def read():\n    with opened() as file:\n        lines = list(file)\n    yield from lines",
        None,
    ),
    ("def read():\n    with lock:\n        def inner():\n            yield 1", None),
    ("class Own(threading.local): ...", BASE),
    ("class Kind(Sequence[int], Enum): ...", None),
    ("class Known(Ours): ...", None),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_mypyc_makes_something_else_of(text: str, expected: str | None) -> None:
    found = list(tidy.otherwise_when_compiled(ast.parse(text), tidy.BASES | {"Ours"}))
    if expected is None:
        assert found == []
    else:
        [(line, what)] = found
        assert line >= 1
        assert expected in what


def test_it_looks_at_what_the_build_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tidy.__file__.removesuffix("scripts/tidy.py"))
    hook = module_at("build/compile.py")
    assert list(map(str, tidy.compiled_modules())) == hook.PATHS
    assert tidy.compiled_complaints() == []
