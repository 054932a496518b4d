"""JSON Schema in Gemini's two fields: its own kind where that says all, else the whole."""

import copy

import pytest

from appliance.providers.dialects.gemini_schema import DEPTH_MAX, put_schema

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def thing(**properties):
    return {"type": "object", "properties": properties}


def put(schema):
    before = copy.deepcopy(schema)
    target = {}
    put_schema(target, schema, name="own", name_of_json="whole")
    assert schema == before
    return target


@pytest.mark.parametrize(
    ("schema", "own"),
    [
        (thing(a=NUMBER), thing(a=NUMBER)),
        ({**thing(a=TEXT), "additionalProperties": False, "$schema": "x"}, thing(a=TEXT)),
        (thing(a={"type": ["string", "null"]}), thing(a={"type": "string", "nullable": True})),
        (thing(a={"type": ["string"]}), thing(a=TEXT)),
        (thing(a={"anyOf": [TEXT, {"type": "null"}], "default": None, "title": "A"}),
         thing(a={"type": "string", "nullable": True, "title": "A"})),
        (thing(a={"anyOf": [TEXT, NUMBER]}), thing(a={"anyOf": [TEXT, NUMBER]})),
        (thing(a={"allOf": [TEXT], "description": "d"}),
         thing(a={"type": "string", "description": "d"})),
        (thing(a={"enum": ["x", "y"]}), thing(a={"type": "string", "enum": ["x", "y"]})),
        (thing(a={"type": ["string", "null"], "enum": ["x", None]}),
         thing(a={"type": "string", "enum": ["x"], "nullable": True})),
        (thing(a={"const": "x"}), thing(a={"type": "string", "enum": ["x"]})),
        (thing(a={"type": "array", "items": TEXT, "maxItems": 3}),
         thing(a={"type": "array", "items": TEXT, "maxItems": 3})),
        (thing(a={"type": "string", "format": "date-time", "pattern": "^2"}),
         thing(a={"type": "string", "format": "date-time", "pattern": "^2"})),
        ({"$defs": {"T": thing(b=NUMBER)}, **thing(a={"$ref": "#/$defs/T", "description": "d"})},
         thing(a={**thing(b=NUMBER), "description": "d"})),
        ({"definitions": {"T": TEXT}, **thing(a={"$ref": "#/definitions/T"})}, thing(a=TEXT)),
    ],
)  # fmt: skip
def test_what_gemini_s_own_kind_says(schema, own):
    assert put(schema) == {"own": own}


LOOP = {"$defs": {"T": thing(next={"$ref": "#/$defs/T"})}, "$ref": "#/$defs/T"}
DEEP = TEXT
for _ in range(DEPTH_MAX + 1):
    DEEP = thing(a=DEEP)
# A few lines that are many thousand when they are written out.
BOMB = {"$defs": {f"T{n}": thing(**{name: {"$ref": f"#/$defs/T{n + 1}"} for name in "abcd"})
                  for n in range(7)}, "$ref": "#/$defs/T0"}  # fmt: skip
BOMB["$defs"]["T7"] = TEXT


@pytest.mark.parametrize(
    "schema",
    [
        thing(a={"type": "object"}),
        thing(a={"type": "object", "additionalProperties": TEXT}),
        thing(a={"type": ["string", "integer"]}),
        thing(a={"type": "integer", "enum": [1, 2]}),
        thing(a={"const": 7}),
        thing(a={"enum": [""]}),
        thing(a={"anyOf": [TEXT, NUMBER], "description": "d"}),
        thing(a={"anyOf": [TEXT, NUMBER, {"type": "null"}]}),
        thing(a={"allOf": [TEXT, {"minLength": 2}]}),
        thing(a={"oneOf": [TEXT, NUMBER]}),
        thing(a={"not": TEXT}),
        thing(a={"type": "string", "format": "email"}),
        thing(a={"type": "array"}),
        thing(a={"type": "array", "prefixItems": [TEXT], "items": TEXT}),
        thing(a={"type": "integer", "exclusiveMinimum": 0}),
        thing(a={"$ref": "#/elsewhere/T"}),
        thing(a={"$ref": "#/$defs/Unknown"}),
        thing(a=True),
        thing(a={"type": "null"}),
        {"type": "object", "properties": 7},
        {"anyOf": 7},
        LOOP,
        DEEP,
        BOMB,
    ],
)
def test_what_it_cannot_say_goes_whole(schema):
    assert put(schema) == {"whole": schema}
