"""What `datasets` reads of one region's state. Blocking, no server: see commands_keys.py."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.commands_orgs import organization_id
from appliance.commands_prompts import iso_time, the_one
from appliance.errors import Refusal

if TYPE_CHECKING:
    from storage.dataset_tables import Copy, Dataset
    from storage.state import State
    from storage.vault import Vault

PAGE_BYTES_MAX: Final = 2 * 2**20  # as they are stored; open they may be ten times as much
COMMAND: Final = "datasets.show"
Given = Mapping[str, Any]
Read = Callable[[Callable[[sqlite3.Connection], Any]], Any]


def list_datasets(state: "State", given: Given) -> list[dict[str, Any]]:
    """The newest first."""
    from storage import dataset_tables as tables

    org = organization_id(state, given.get("org"))
    return [
        {
            "id": one.id,
            "name": one.name,
            "rows": one.rows,
            "created_at": iso_time(one.created_at_us),
        }
        for one in state.read(lambda connection: tables.find_datasets(connection, org))
    ]


def show_rows(state: "State", vault: "Vault", given: Given) -> dict[str, Any]:
    """A page of rows behind the one that `after` numbers, in the order of their coming; none at the
    end. Request and response are JSON text. Raises Refusal 404, 409, 503."""
    from storage import dataset_tables as tables

    org = organization_id(state, given.get("org"))
    wanted, after = str(given.get("dataset") or ""), int(given.get("after") or 0)

    def work(connection: sqlite3.Connection) -> "tuple[Dataset, list[Copy]]":
        dataset = the_one("dataset", tables.find_datasets(connection, org), wanted)
        copies = tables.copies_after(connection, org, dataset.id, after, PAGE_BYTES_MAX)
        return dataset, copies

    dataset, copies = state.read(work)
    return {
        "id": dataset.id, "name": dataset.name, "total": dataset.rows,
        "after": copies[-1].number if copies else after,
        "rows": [_opened(vault, copy) for copy in copies],
    }  # fmt: skip


def _opened(vault: "Vault", copy: "Copy") -> dict[str, Any]:
    from storage.dataset_copies import CopyDamaged, unpack

    row = copy.row
    try:
        document = msgspec.json.decode(unpack(vault, row.id, copy.packed), type=dict[str, Any])
    except (CopyDamaged, msgspec.MsgspecError) as error:
        raise Refusal(503, "copy_damaged", f"row {row.id} does not open: {error}") from None
    return {
        "id": row.id,
        "origin_request_id": row.origin_request_id,
        "created_at": iso_time(row.created_at_us),
        "request": document.get("request"),
        "response": document.get("response"),
    }


DATASET_COMMANDS = {"datasets.list": list_datasets}
