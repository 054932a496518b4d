"""JSON Schema as Gemini's own kind of schema, which knows less (`proxy.md 11.3`).

What it cannot say goes whole into the field that takes JSON Schema: nothing of it is lost.
"""

from appliance.providers.dialects.common import Json, mapping, string

DEPTH_MAX = 32
# References are written out at each place, which can make much of little, or lead in a circle.
NODES_MAX = 2000
SAME = frozenset({
    "type", "title", "description", "items", "properties", "required", "enum", "nullable",
    "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern",
    "minimum", "maximum", "propertyOrdering", "default", "format",
})  # fmt: skip
# These say nothing of what fits, or nothing that is not so anyway.
SILENT = frozenset({"$schema", "$id", "$comment", "$defs", "definitions", "strict"})
FORMATS = frozenset({"date-time", "enum", "int32", "int64", "float", "double"})
REFERENCES = ("#/$defs/", "#/definitions/")


class Inexpressible(Exception):  # noqa: N818 - not a fault: there is another way to say it
    """This schema needs the field for JSON Schema."""


def put_schema(target: Json, schema: Json, *, name: str, name_of_json: str) -> None:
    """Set one of the two fields of a schema; they exclude each other."""
    try:
        target[name] = _Writer(schema).write(schema, 0)
    except Inexpressible:
        target[name_of_json] = schema


class _Writer:
    """Writes one schema; references are those of the whole."""

    __slots__ = ("_nodes", "_root")

    def __init__(self, root: Json) -> None:
        self._root = root
        self._nodes = 0

    def write(self, value: object, depth: int) -> Json:
        self._nodes += 1
        if type(value) is not dict or depth > DEPTH_MAX or self._nodes > NODES_MAX:
            raise Inexpressible
        schema = {name: inner for name, inner in value.items() if name not in SILENT}
        if schema.get("additionalProperties") is False:
            # Gemini writes no others.
            del schema["additionalProperties"]
        if "$ref" in schema:
            return self._follow(schema, depth)
        if "anyOf" in schema or "allOf" in schema:
            return self._combine(schema, depth)
        if "const" in schema and "enum" not in schema:
            schema["enum"] = [schema.pop("const")]
        return self._plain(schema, depth)

    def _follow(self, schema: Json, depth: int) -> Json:
        reference = string(schema.pop("$ref"))
        found: object = None
        for start in REFERENCES:
            if reference.startswith(start):
                place = start.strip("#/")
                found = mapping(self._root.get(place)).get(reference.removeprefix(start))
        if type(found) is not dict:
            raise Inexpressible
        return self.write({**found, **schema}, depth + 1)

    def _combine(self, schema: Json, depth: int) -> Json:
        """One of several. With nothing beside it: Gemini takes no other field there."""
        name = "anyOf" if "anyOf" in schema else "allOf"
        choices = schema.pop(name)
        if type(choices) is not list:
            raise Inexpressible
        some = [choice for choice in choices if mapping(choice).get("type") != "null"]
        if len(some) == 1 and type(some[0]) is dict:
            # What Python calls Optional: its fields lie beside the choice.
            if len(some) < len(choices):
                schema["nullable"] = True
            return self.write({**some[0], **schema}, depth + 1)
        if name == "allOf" or schema or len(some) < len(choices):
            raise Inexpressible
        return {"anyOf": [self.write(choice, depth + 1) for choice in some]}

    def _plain(self, schema: Json, depth: int) -> Json:
        if not SAME.issuperset(schema):
            raise Inexpressible
        _name_type(schema)
        _check_values(schema)
        if "properties" in schema:
            properties = schema["properties"]
            if type(properties) is not dict:
                raise Inexpressible
            schema["properties"] = {
                name: self.write(inner, depth + 1) for name, inner in properties.items()
            }
        if "items" in schema:
            schema["items"] = self.write(schema["items"], depth + 1)
        if schema.get("type") == "object" and not schema.get("properties"):
            # Gemini wants the properties of an object named.
            raise Inexpressible
        if schema.get("type") == "array" and "items" not in schema:
            raise Inexpressible
        return schema


def _name_type(schema: Json) -> None:
    """One type, and whether null fits too."""
    kind = schema.get("type")
    if type(kind) is list:
        kinds = [one for one in kind if one != "null"]
        if len(kinds) != 1:
            raise Inexpressible
        if len(kinds) < len(kind):
            schema["nullable"] = True
        kind = schema["type"] = kinds[0]
    if kind is None and "enum" in schema:
        kind = schema["type"] = "string"
    if type(kind) is not str or kind == "null":
        raise Inexpressible


def _check_values(schema: Json) -> None:
    """Values of an enumeration are strings; a default of null is what nullable says."""
    if "enum" in schema:
        values = schema["enum"]
        if type(values) is not list or schema["type"] != "string":
            raise Inexpressible
        some = [value for value in values if value is not None]
        if not some or not all(type(value) is str and value for value in some):
            raise Inexpressible
        if len(some) < len(values):
            schema["nullable"] = True
        schema["enum"] = some
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    if "format" in schema and string(schema["format"]) not in FORMATS:
        raise Inexpressible
