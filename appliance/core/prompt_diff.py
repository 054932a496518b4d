"""What differs between two versions of a prompt: a unified diff of their bodies."""

import difflib
import json


def difference(before: str, old_body: str, after: str, new_body: str) -> str:
    """Of the bodies, as indented JSON. `before` and `after` name the versions. "" where
    they are equal."""
    found = difflib.unified_diff(_lines(old_body), _lines(new_body), before, after, lineterm="")
    return "\n".join(found)


def _lines(body: str) -> list[str]:
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False, sort_keys=True).splitlines()
