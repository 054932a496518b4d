"""The model in a body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.router_body import model_of, with_model
from appliance.errors import Refusal

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=9,
)


@pytest.mark.parametrize(
    ("body", "model"),
    [(b'{"model":"a","x":[1]}', "a"), (b"{}", ""), (b'{"model":null}', ""), (b'{"model":7}', "")],
)
def test_reads(body: bytes, model: str) -> None:
    assert model_of(body) == model


@pytest.mark.parametrize("body", [b"", b"[1]", b"x", b'{"model":"a"', b"\xff", b"[" * 100_000])
def test_no_object(body: bytes) -> None:
    for read in (model_of, lambda data: with_model(data, "b")):
        with pytest.raises(Refusal) as caught:
            read(body)
        assert (caught.value.status, caught.value.code) == (400, "body_invalid")


def test_the_rest_keeps_its_bytes() -> None:
    body = b'{"a": 1.50, "model": "x", "b": {"c" : "\\u00e9"}}'
    assert with_model(body, 'y"') == b'{"a":1.50,"model":"y\\"","b":{"c" : "\\u00e9"}}'


@given(st.dictionaries(st.text(max_size=5), JSON), st.text(max_size=9))
def test_only_the_model_changes(document: dict[str, Any], model: str) -> None:
    body = json.dumps(document).encode()
    changed = with_model(body, model)
    assert json.loads(changed) == {**document, "model": model}
    assert model_of(changed) == model
