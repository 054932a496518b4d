"""Context editing: the gateway's `context_editing` and Anthropic's `context_management`, both ways
(`proxy.md 11.1`)."""

from appliance.providers.dialects.common import (
    Json,
    check_part,
    list_at,
    object_at,
    refused,
    string,
)

SERVICE = "Anthropic's context management"
CLEAR_THINKING = "clear_thinking_20251015"
CLEAR_TOOL_USES = "clear_tool_uses_20250919"
EDITING_FIELDS = frozenset({"enabled", "clear_tool_uses", "clear_thinking"})
THINKING_FIELDS = frozenset({"keep"})
TOOL_USES_FIELDS = frozenset({
    "trigger", "keep", "clear_at_least", "exclude_tools", "clear_tool_inputs",
})  # fmt: skip
# In this order: Anthropic wants thoughts cleared first.
EDITS = (
    ("clear_thinking", CLEAR_THINKING, THINKING_FIELDS),
    ("clear_tool_uses", CLEAR_TOOL_USES, TOOL_USES_FIELDS),
)


def management_from_editing(value: object) -> Json | None:
    """`context_management`, or None where editing is not enabled."""
    editing = object_at(value, "context_editing")
    check_part(editing, EDITING_FIELDS, "context_editing", SERVICE)
    if not editing.get("enabled"):
        return None
    edits = []
    for name, kind, fields in EDITS:
        if editing.get(name) is None:
            continue
        options = object_at(editing[name], f"context_editing.{name}")
        check_part(options, fields, f"context_editing.{name}", SERVICE)
        given = {key: option for key, option in options.items() if option is not None}
        edits.append({"type": kind, **given})
    return {"edits": edits or [{"type": CLEAR_TOOL_USES}]}


def editing_from_management(value: object) -> Json:
    """`context_editing` that asks for the same edits."""
    management = object_at(value, "context_management")
    check_part(management, frozenset({"edits"}), "context_management", "A chat body")
    names = {kind: name for name, kind, _ in EDITS}
    editing: Json = {"enabled": False}
    for number, edit in enumerate(list_at(management.get("edits") or [], "context_management")):
        where = f"context_management.edits[{number}]"
        kind = object_at(edit, where).get("type")
        if string(kind) not in names:
            raise refused(f"{where}.type", f"one of {CLEAR_TOOL_USES}, {CLEAR_THINKING}")
        editing["enabled"] = True
        editing[names[string(kind)]] = {
            key: option for key, option in edit.items() if key != "type"
        }
    return editing
