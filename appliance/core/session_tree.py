"""The requests of a session as a tree of their paths: `/plan/step` lies under `/plan`.

Pure. Each node says what lies at it and what it holds with all that lies below: cost, time, errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

DEPTH_MAX: Final = 64
SEGMENT_CHARACTERS_MAX: Final = 200


@dataclass
class Node:
    """A path. `requests` are those at it; sums are of everything at it and below."""

    name: str
    path: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, name: str) -> Node:
        """The node one segment below."""
        found = self.children.get(name)
        if found is None:
            found = self.children[name] = Node(name, f"{self.path.rstrip('/')}/{name}")
        return found


def segments_of(path: str | None) -> list[str]:
    """The parts of a session path; a deeper one ends where it is as deep as is shown."""
    parts = [part[:SEGMENT_CHARACTERS_MAX] for part in (path or "").split("/") if part]
    return parts[:DEPTH_MAX]


def build_tree(rows: Iterable[dict[str, Any]]) -> Node:
    """`rows` in the order of time, each with `path`."""
    root = Node("", "/")
    for row in rows:
        node = root
        for segment in segments_of(row["path"]):
            node = node.child(segment)
        node.requests.append(row)
    return root


def shown(node: Node) -> dict[str, Any]:
    """As JSON. Not deeper than `DEPTH_MAX`, so that it may call itself."""
    children = [shown(child) for child in node.children.values()]
    own = node.requests
    begins = [row["created_at"] for row in own] + [
        child["created_at"] for child in children if child["created_at"]
    ]
    ends = [row["ended_at"] for row in own] + [
        child["ended_at"] for child in children if child["ended_at"]
    ]
    cost = sum((row["cost"] or Decimal(0) for row in own), Decimal(0))
    return {
        "name": node.name,
        "path": node.path,
        "created_at": min(begins, default=None),
        "ended_at": max(ends, default=None),
        "cost": cost + sum((child["cost"] for child in children), Decimal(0)),
        "request_count": sum(not row["step"] for row in own)
        + sum(child["request_count"] for child in children),
        "errors": sum(row["error"] for row in own) + sum(child["errors"] for child in children),
        "requests": own,
        "children": children,
    }
