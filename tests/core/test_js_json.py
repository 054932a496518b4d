"""What we write is what JSON.stringify writes: a table, and Node itself where there is one."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.js_json import number, stringify

NODE = shutil.which("node")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"a": [1, True, None, "ü\u2028\n\u0001\x7f/\"\\"]},
            '{"a":[1,true,null,"ü\u2028\\n\\u0001\x7f/\\"\\\\"]}',
        ),
        ({}, "{}"),
        ([], "[]"),
        ({"": {"": []}}, '{"":{"":[]}}'),
        ([[], {}, ""], '[[],{},""]'),
        (
            {"b": 1, "10": 2, "a": 3, "9": 4, "01": 5, "-1": 6},
            '{"9":4,"10":2,"b":1,"a":3,"01":5,"-1":6}',
        ),
        ({"4294967295": 1, "4294967294": 2}, '{"4294967294":2,"4294967295":1}'),
        (12345678901234567890, "12345678901234567000"),
        (9007199254740993, "9007199254740992"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (0.000021, "0.000021"),
        (Decimal("0.0000210"), "0.000021"),
        (Decimal("3"), "3"),
        (-1.25e300, "-1.25e+300"),
        (5e-324, "5e-324"),
        (float("inf"), "null"),
        (float("nan"), "null"),
        (10**400, "null"),
    ],
)  # fmt: skip
def test_as_javascript_writes_it(value: Any, text: str):
    assert stringify(value) == text


def test_deep_and_long():
    deep: Any = "x"
    for _ in range(50_000):
        deep = [deep]
    assert stringify(deep) == "[" * 50_000 + '"x"' + "]" * 50_000
    assert stringify(list(range(1000))) == json.dumps(list(range(1000)), separators=(",", ":"))


def test_nothing_but_json():
    with pytest.raises(TypeError):
        stringify({"a": {1, 2}})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_it_is_json_and_writing_it_again_changes_nothing(value: Any):
    text = stringify(value)
    assert stringify(msgspec.json.decode(text)) == text


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_node_writes_the_same(tmp_path: Path):
    seed = 20261122
    print(f"seed {seed}")
    random = Random(seed)
    doubles = [struct.unpack("<d", random.randbytes(8))[0] for _ in range(3000)]
    doubles += [random.uniform(-1, 1) * 10 ** random.randint(-12, 24) for _ in range(3000)]
    values: list[Any] = [number(one) for one in doubles if one == one and abs(one) != float("inf")]
    texts = [chr(random.randrange(1, 0xD800)) * 2 for _ in range(500)]
    document = stringify({
        "numbers": [json.loads(one) for one in values], "texts": texts,
        "keys": {str(random.randrange(10**12)): place for place in range(200)},
    })  # fmt: skip
    (tmp_path / "document.json").write_text(document, encoding="utf-8")
    script = (
        "const fs = require('fs'); const text = fs.readFileSync(process.argv[1], 'utf8');"
        "process.stdout.write(String(JSON.stringify(JSON.parse(text)) === text));"
    )
    done = subprocess.run(
        [NODE or "", "-e", script, str(tmp_path / "document.json")],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("true", "")
