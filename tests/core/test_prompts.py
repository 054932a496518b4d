import pytest

from appliance.core.prompts import (
    PromptInvalid,
    filled,
    merged,
    message_text,
    partials_in,
    variables_in,
    with_partials,
)


def say(text: object) -> dict[str, object]:
    return {"role": "user", "content": text}


def test_stored_messages_come_first() -> None:
    stored = {"model": "a", "temperature": 1, "messages": [say("1")], "tools": [1],
              "response_format": {"type": "text"}}  # fmt: skip
    asked = {"model": "b", "messages": [say("2")], "tools": [2], "prompt_id": "x", "inputs": {},
             "environment": "e",
             "version_id": "v", "response_format": {"type": "json"}}  # fmt: skip
    assert merged(stored, asked) == {
        "model": "b", "temperature": 1, "messages": [say("1"), say("2")], "tools": [1, 2],
        "response_format": {"type": "json"},
    }  # fmt: skip
    assert merged({"messages": [say("1")]}, {}) == {"messages": [say("1")]}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "x", "x"), ("string", 5, "5"), ("number", 1.5, "1.5"),
        ("number", "-2e3", "-2e3"),
        ("boolean", True, "true"), ("boolean", "no", "no"), ("boolean", False, "false"),
        ("number", 0, "0"), ("string", "", ""), ("list", [1, "ü"], '[1, "ü"]'),
        ("any", None, "null"),
    ],
)  # fmt: skip
def test_values_of_their_type_are_put_in(kind: str, value: object, text: str) -> None:
    found = filled({"messages": [say(f"<{{{{ hc : v : {kind} }}}}>")]}, {"v": value})
    assert found["messages"] == [say(f"<{text}>")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("number", "x"), ("number", True), ("boolean", "maybe"), ("boolean", 1), ("string", []),
     ("string", True), ("number", None)],
)  # fmt: skip
def test_another_type_is_named(kind: str, value: object) -> None:
    with pytest.raises(PromptInvalid, match=f"inputs.v: expected a {kind}"):
        filled({"messages": [say(f"{{{{hc:v:{kind}}}}}")]}, {"v": value})


def test_all_that_is_missing_is_named_once() -> None:
    document = {"messages": [say("{{hc:a:string}} {{hc:b:number}} {{hc:a:string}}")]}
    with pytest.raises(PromptInvalid) as invalid:
        filled(document, {})
    assert str(invalid.value) == "inputs.a is missing; inputs.b is missing"


def test_parts_of_messages_tools_and_formats() -> None:
    document = {
        "messages": [say([{"type": "text", "text": "{{hc:a:string}}"}])],
        "tools": [{"name": "{{hc:a:string}}", "parameters": "{{hc:schema:object}}"}],
        "response_format": {"{{hc:a:string}}": "n {{hc:n:number}}"},
        "metadata": {"kept": "{{hc:zzz:string}}"},
    }
    found = filled(document, {"a": "A", "schema": {"x": [1]}, "n": 3})
    assert found == {
        "messages": [say([{"type": "text", "text": "A"}])],
        "tools": [{"name": "A", "parameters": {"x": [1]}}],
        "response_format": {"A": "n 3"},
        "metadata": {"kept": "{{hc:zzz:string}}"},
    }


def test_what_is_put_in_is_not_read_again() -> None:
    found = filled({"messages": [say("{{hc:a:string}}")]}, {"a": "{{hc:b:string}}"})
    assert found["messages"] == [say("{{hc:b:string}}")]


def test_it_is_bounded() -> None:
    with pytest.raises(PromptInvalid, match="characters"):
        filled({"messages": [say("{{hc:a:string}}" * 50)]}, {"a": "x" * 100_000})


def test_partials() -> None:
    document = {
        "messages": [say("{{hcp:abc123:0}} {{ hcp : abc123 : 1 : staging }} {{hcp:abc:0}}")]
    }
    wanted = [("abc123", 0, "production"), ("abc123", 1, "staging")]
    assert list(partials_in(document)) == wanted
    texts = {wanted[0]: "one {{hc:v:string}}"}
    assert with_partials(document, texts)["messages"] == [
        say("one {{hc:v:string}} {{ hcp : abc123 : 1 : staging }} {{hcp:abc:0}}")
    ]


def test_the_text_of_a_message() -> None:
    body = {"messages": [say("a"), say([{"text": "b"}, {"text": "c"}, {}]), say(None), 7]}
    assert [message_text(body, index) for index in range(5)] == ["a", "bc", None, None, None]
    assert message_text({}, 0) is None


def test_variables_are_told() -> None:
    assert variables_in({"messages": [say("{{hc:a:string}} {{hc:b:number}}")]}) == {
        "a": "string", "b": "number",
    }  # fmt: skip
