"""An edit of the API is a frame that ingest understands."""

from pathlib import Path

from appliance.actors.frame_rows import FrameDeriver
from appliance.api.services_edits import Edit
from appliance.services_edits import KINDS, payload_of
from storage.frames import Frame, Position
from storage.rows import EDIT_COLUMNS
from tests.storage.analytics_rows import ORG, ask, batch_of, edit_row, edits_of, opened


def row_of(edit: Edit) -> dict[str, object]:
    here = Position(1, 2)
    frame = Frame(here, here, KINDS[edit.kind], 0, 0, ORG, payload_of(edit, 77))
    rows = FrameDeriver(None, None)(frame)  # type: ignore[arg-type]
    return dict(zip([name for name, _ in EDIT_COLUMNS], rows.edits[0], strict=True))


def test_each_kind_of_edit() -> None:
    one, other = b"e" * 16, b"r" * 16
    for kind, value, boolean, text, number in (
        ("score", 0.5, False, None, 0.5),
        ("score", 1, True, "boolean", 1.0),
        ("score", None, False, None, None),
        ("feedback", 0, False, None, 0.0),
        ("property", "dev", False, "dev", None),
        ("property", None, False, None, None),
    ):
        row = row_of(Edit(kind, one, other, "name", value, boolean))  # type: ignore[arg-type]
        assert (row["kind"], row["text"], row["number"]) == (kind, text, number)
        assert (row["exchange_id"], row["request_id"], row["edited_at"]) == (one, other, 77)


def test_views_tell_true_and_false_from_numbers(tmp_path: Path) -> None:
    analytics = opened(tmp_path / "a.duckdb")
    analytics.ingest(batch_of(range(2)), Position(1, 1))
    true = tuple("boolean" if name == "text" else value for (name, _), value in zip(
        EDIT_COLUMNS, edit_row(1, "score", "ok", 1.0), strict=True))  # fmt: skip
    analytics.ingest(
        edits_of(
            true, edit_row(1, "score", "n", 1.0), edit_row(1, "feedback", "feedback", 1.0, at=5)
        ),
        Position(1, 2),
    )
    sql = "SELECT boolean_scores, feedback_at FROM requests ORDER BY exchange_id"
    (none, found) = ask(analytics, sql)
    assert none == (None, None)
    assert (found[0], found[1].microsecond) == (["ok"], 5)
    analytics.close()
