"""Datasets over REST: rows, copies that are edited, links, files, deletions that run meanwhile."""

from __future__ import annotations

import csv
import io
import json
import uuid
from typing import Any

import pyarrow.parquet as pq
import pytest

from appliance.api import dataset_copies
from appliance.providers.fine_tuning import SHAPES
from storage import dataset_tables as book
from storage import erasures
from tests.api.kit import ORG, House, body_row, request_id, request_row, vault

PATH = "/v1/helicone-dataset"
SOME = "5d3e8f9a-0000-4000-8000-000000000001"
OTHER = ((b"authorization", b"Bearer other"),)
ASKED = {"model": "m", "messages": [{"role": "user", "content": "What's up?"}]}
SAID = {"choices": [{"message": {"role": "assistant", "content": "The sky."}}]}


def put(house: House, *numbers: int, request: Any = ASKED, response: Any = SAID) -> list[str]:
    rows = [request_row(number, user_id="ann", session_id="s1") for number in numbers]
    bodies = tuple(
        body_row(number, request=json.dumps(request), response=json.dumps(response))
        for number in numbers
    )
    house.add(*rows, bodies=bodies)
    return [request_id(number) for number in numbers]


async def data_of(house: House, path: str, body: Any, status: int = 200, **options: Any) -> Any:
    reply = await house.post(f"{PATH}{path}", body, **options)
    assert reply.status == status, reply.body
    return reply.json["data"] if status == 200 else reply.json["error"]


async def made(house: House, request_ids: list[str], **more: Any) -> str:
    body = {"datasetName": "picked", "requestIds": request_ids, **more}
    return str((await data_of(house, "", body))["datasetId"])


async def rows_of(house: House, dataset: str) -> list[Any]:
    return list(await data_of(house, f"/{dataset}/query", {"offset": 0, "limit": 10}))


async def document(house: House, row: Any) -> Any:
    """By its link alone."""
    assert row["signed_url"]["error"] is None
    was, house.access.open = house.access.open, False
    target = row["signed_url"]["data"].removeprefix("http://127.0.0.1:8585")
    reply = await house.get(target)
    house.access.open = was
    assert reply.status == 200, reply.body
    assert (await house.get(target.replace("signature=", "signature=0"))).status == 403
    return reply.json


async def test_requests_are_copied_and_outlive_their_records(house: House) -> None:
    ids = put(house, 1, 2)
    dataset = await made(house, [*ids, ids[0]], meta={"a": 1.50})
    assert await data_of(house, f"/{dataset}/count", None) == 2
    [shown] = await data_of(house, "/query", {"datasetIds": [dataset, str(uuid.uuid4())]})
    assert (shown["name"], shown["meta"], shown["requests_count"]) == ("picked", {"a": 1.5}, 2)
    assert (shown["dataset_type"], shown["organization"]) == ("helicone", str(uuid.UUID(bytes=ORG)))
    rows = await rows_of(house, dataset)
    assert [row["origin_request_id"] for row in rows] == ids[::-1]
    assert {row["dataset_id"] for row in rows} == {dataset}
    assert await document(house, rows[0]) == {"request": ASKED, "response": SAID}
    [one] = await data_of(house, f"/{dataset}/query", {"offset": 1, "limit": 1})
    assert one["id"] == rows[1]["id"]


async def test_a_dataset_gets_another_name_or_other_notes(house: House) -> None:
    dataset = await made(house, put(house, 1), meta={"a": 1})
    path = f"{PATH}/{dataset}"

    async def patch(body: Any, **options: Any) -> Any:
        return await house.ask("PATCH", path, json.dumps(body).encode(), **options)

    shown = (await patch({"datasetName": "better"})).json["data"]
    assert (shown["name"], shown["meta"], shown["requests_count"]) == ("better", {"a": 1}, 1)
    assert (await patch({"meta": {"b": 2}})).json["data"]["name"] == "better"
    assert (await patch({"meta": None})).json["data"]["meta"] == {}
    assert await data_of(house, "/query", {"datasetIds": [dataset]}) == [
        {**shown, "meta": {}}
    ]  # fmt: skip
    for body, field in (
        ({}, "datasetName"), ({"datasetName": ""}, "datasetName"),
        ({"datasetName": None}, "datasetName"), ({"datasetName": "x" * 256}, "datasetName"),
        ({"meta": 5}, "meta"), ({"meta": {"a": "x" * 70_000}}, "meta"),
    ):  # fmt: skip
        reply = await patch(body)
        assert (reply.status, reply.json["error"].startswith(field)) == (422, True), reply.body
    house.access.open = False
    assert (await patch({"datasetName": "mine"}, headers=OTHER)).status == 404
    reader = ((b"authorization", b"Bearer reader"),)
    assert (await patch({"datasetName": "mine"}, headers=reader)).status == 403


async def test_a_page_of_rows_comes_with_their_bodies(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = put(house, 1, 2)
    ids += put(house, 3, response="x" * 5000) + put(house, 4)
    dataset = await made(house, ids)
    rows = await rows_of(house, dataset)
    assert all("bodies" not in row for row in rows)
    asked = {"bodies": True, "limit": 100}
    found = await data_of(house, f"/{dataset}/query", asked)
    assert [{key: row[key] for key in rows[0] if key != "signed_url"} for row in found] == [
        {key: row[key] for key in row if key != "signed_url"} for row in rows
    ]
    assert [row["bodies"] for row in found] == [await document(house, row) for row in rows], (
        "each row has its own, an edit too"
    )
    [third] = await data_of(house, f"/{dataset}/query", {**asked, "offset": 2, "limit": 1})
    assert third["bodies"] == found[2]["bodies"]
    monkeypatch.setattr(dataset_copies, "DOCUMENTS_BYTES_MAX", 1000)
    monkeypatch.setattr(dataset_copies, "READ_BYTES_MAX", 1)  # one by one
    cut = await data_of(house, f"/{dataset}/query", asked)
    assert [row["bodies"] is None for row in cut] == [False, True, True, True]
    [large] = await data_of(house, f"/{dataset}/query", {**asked, "offset": 1, "limit": 1})
    assert large["bodies"]["response"] == "x" * 5000, "one at least"
    for wrong, field in (({"bodies": 1}, "bodies"), ({"bodies": True, "limit": 101}, "limit")):
        assert (await data_of(house, f"/{dataset}/query", wrong, 422)).startswith(field)


async def test_rows_are_added_and_taken_out_in_one_go(house: House) -> None:
    ids = put(house, 1, 2, 3)
    dataset = await made(house, ids[:2])
    first = (await rows_of(house, dataset))[-1]["id"]
    change = {"addRequests": ids[1:], "removeRequests": [first]}
    assert await data_of(house, f"/{dataset}/mutate", change) is None
    rows = await rows_of(house, dataset)
    assert [row["origin_request_id"] for row in rows] == [ids[2], ids[1]]
    # The second time the row is not there, and then nothing else is done either.
    said = await data_of(house, f"/{dataset}/mutate", {**change, "addRequests": [ids[0]]}, 404)
    assert "removeRequests" in said
    unknown = str(uuid.uuid4())
    said = await data_of(house, f"/{dataset}/mutate", {"addRequests": [unknown]}, 404)
    assert said == f"addRequests: there is no request with the id {unknown}."
    assert await rows_of(house, dataset) == rows


async def test_a_copy_is_edited_and_its_request_is_not(house: House) -> None:
    [origin] = put(house, 1)
    dataset = await made(house, [origin])
    [row] = await rows_of(house, dataset)
    assert row["edited_at"] is None
    edited = {"responseBody": {"choices": [], "n": 0.10}}
    assert await data_of(house, f"/{dataset}/request/{row['id']}", edited) is None
    [row] = await rows_of(house, dataset)
    assert row["edited_at"] is not None
    assert await document(house, row) == {"request": ASKED, "response": {"choices": [], "n": 0.1}}
    # As well by the id of its request.
    await data_of(house, f"/{dataset}/request/{origin}", {"requestBody": None})
    assert (await document(house, row))["request"] is None
    kept = await house.get(f"/v1/request/{origin}?includeBody=true")
    assert kept.json["data"]["request_body"] == ASKED
    # Added again, it stays as it was edited.
    await data_of(house, f"/{dataset}/mutate", {"addRequests": [origin]})
    assert (await document(house, row))["request"] is None
    await data_of(house, f"/{dataset}/request/{uuid.uuid4()}", edited, 404)
    assert "requestBody" in await data_of(house, f"/{dataset}/request/{row['id']}", {}, 422)


async def test_a_deleted_dataset_is_gone_with_its_copies(house: House) -> None:
    dataset = await made(house, put(house, 1))
    target = (await rows_of(house, dataset))[0]["signed_url"]["data"][21:]
    await data_of(house, f"/{dataset}/delete", None)
    assert (await house.get(target)).status == 404
    for path in ("query", "count", "mutate", "delete"):
        await data_of(house, f"/{dataset}/{path}", {}, 404)
    assert (await house.get(f"{PATH}/{dataset}/export")).status == 404
    assert await data_of(house, "/query", {}) == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("", {"requestIds": []}, "datasetName"),
        ("", {"datasetName": "a", "requestIds": "x"}, "requestIds"),
        ("", {"datasetName": "a", "requestIds": ["x"]}, "requestIds.0"),
        ("", {"datasetName": "a", "requestIds": [7]}, "requestIds.0"),
        ("", {"datasetName": "a", "requestIds": [SOME] * 1001}, "requestIds"),
        ("", {"datasetName": "a", "meta": []}, "meta"),
        ("", {"datasetName": "a", "meta": {"a": "x" * 70_000}}, "meta"),
        ("/query", {"datasetIds": ["x"]}, "datasetIds.0"),
        (f"/{SOME}/query", {"limit": 10_001}, "limit"),
        (f"/{SOME}/query", {"offset": -1}, "offset"),
        ("/x/query", {}, "dataset_id"),
        (f"/{SOME}/mutate", {"addRequests": {}}, "addRequests"),
    ],
)
async def test_what_is_wrong_is_named(house: House, path: str, body: Any, field: str) -> None:
    assert (await data_of(house, path, body, 422)).startswith(f"{field}: ")


async def test_another_organisation_can_neither_see_nor_copy(house: House) -> None:
    ids = put(house, 1)
    dataset = await made(house, ids)
    [row] = await rows_of(house, dataset)
    await data_of(house, "", {"datasetName": "mine", "requestIds": ids}, 404, headers=OTHER)
    assert await data_of(house, "/query", {"datasetIds": [dataset]}, headers=OTHER) == []
    for path in ("query", "count", "mutate", "delete"):
        await data_of(house, f"/{dataset}/{path}", {}, 404, headers=OTHER)
    edit = {"requestBody": 1}
    await data_of(house, f"/{dataset}/request/{row['id']}", edit, 404, headers=OTHER)
    assert (await house.get(f"{PATH}/{dataset}/export", headers=OTHER)).status == 404


# -- bounds


async def test_bodies_that_do_not_fit_at_once_are_read_in_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_copies, "READ_BYTES_MAX", 200)
    long = {"messages": [{"role": "user", "content": "x" * 500}]}
    ids = [*put(house, 1, 2), *put(house, 3, request=long), *put(house, 4)]
    dataset = await made(house, ids)
    rows = await rows_of(house, dataset)
    assert [row["origin_request_id"] for row in rows] == ids[::-1]
    assert (await document(house, rows[1]))["request"] == long


async def test_what_is_too_large_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = put(house, 1, 2)
    body = {"datasetName": "a", "requestIds": ids}
    with monkeypatch.context() as patch:
        patch.setattr(dataset_copies, "READ_BYTES_MAX", 10)
        patch.setattr(dataset_copies, "DOCUMENT_BYTES_MAX", 20)
        assert f"request {ids[0]}" in await data_of(house, "", body, 413)
    with monkeypatch.context() as patch:
        patch.setattr(dataset_copies, "ADDED_BYTES_MAX", 200)
        assert "several calls" in await data_of(house, "", body, 413)
    for name, most in (("ROWS_MAX", 1), ("STORED_BYTES_MAX", 100), ("DATASETS_MAX", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(book, name, most)
            assert f"at most {most}" in await data_of(house, "", body, 409)
    assert await data_of(house, "/query", {}) == []
    dataset = await made(house, ids[:1])
    with monkeypatch.context() as patch:
        patch.setattr(book, "STORED_BYTES_MAX", 300)
        edit = {"requestBody": [str(uuid.uuid4()) for _ in range(50)]}
        await data_of(house, f"/{dataset}/request/{ids[0]}", edit, 409)
    [row] = await rows_of(house, dataset)
    assert (await document(house, row))["request"] == ASKED


async def test_what_cannot_be_read_yet_is_not_called_unknown(house: House) -> None:
    house.records.stale_by_ms = 50.0
    body = {"datasetName": "a", "requestIds": [str(uuid.uuid4())]}
    await data_of(house, "", body, 503)


# -- deletions


@pytest.mark.parametrize(
    ("kind", "subject"), [("request", request_id(1)), ("user", "ann"), ("session", "s1")]
)
@pytest.mark.parametrize("is_done", [False, True])
async def test_nothing_is_copied_behind_a_deletion(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: Any, subject: str, is_done: bool
) -> None:
    """It is asked for, and perhaps done, after the bodies were read."""
    ids = put(house, 1)
    tables, org = house.tables["us"], str(uuid.UUID(bytes=ORG))
    packed = dataset_copies._packed

    async def late(*arguments: Any) -> Any:
        found = await packed(*arguments)
        asked = await tables.write(lambda c: erasures.ask(c, org, kind, subject, "me"))
        if is_done:
            await tables.write(lambda c: erasures.done(c, asked.id, 1))
        return found

    monkeypatch.setattr(dataset_copies, "_packed", late)
    body = {"datasetName": "a", "requestIds": ids}
    assert "deletion" in await data_of(house, "", body, 409)
    assert await data_of(house, "/query", {}) == []


async def test_a_deletion_finds_copies_by_request_user_and_session(house: House) -> None:
    from storage.dataset_copies import subject_key, subject_mark

    tables, org = house.tables["us"], str(uuid.UUID(bytes=ORG))
    key = subject_key(vault())
    ids = put(house, 1, 2, 3)
    for kind, subject in (("user", "ann"), ("session", "s1"), ("request", ids[0])):
        dataset = await made(house, ids)
        mark = subject_mark(key, org, kind, subject)
        assert mark is not None
        of_request = [(subject, b"")] if kind == "request" else []
        marks = [] if kind == "request" else [mark]
        for whose, left in ((str(uuid.uuid4()), 3), (org, 2 if kind == "request" else 0)):
            await tables.write(
                lambda c, o=whose, r=of_request, m=marks: erasures.erase_rows(c, o, r, "", m)
            )
            assert await data_of(house, f"/{dataset}/count", None) == left
        await data_of(house, f"/{dataset}/delete", None)


async def test_an_organisation_goes_with_its_datasets(house: House) -> None:
    tables, org = house.tables["us"], str(uuid.UUID(bytes=ORG))
    await made(house, put(house, 1))
    await tables.write(lambda c: erasures.erase_organization(c, org))
    for table in ("datasets", "dataset_rows"):
        sql = f"SELECT count(*) FROM {table}"
        count = await tables.read(lambda c, sql=sql: c.execute(sql).fetchone())
        assert count == (0,)


# -- files


async def exported(house: House, dataset: str, query: str, status: int = 200) -> bytes:
    reply = await house.get(f"{PATH}/{dataset}/export?{query}")
    assert reply.status == status, reply.body
    return reply.body


async def test_examples_for_fine_tuning(house: House) -> None:
    asked = {**ASKED, "messages": [{"role": "system", "content": "Brief."}, *ASKED["messages"]]}
    ids = put(house, 1, 2, request=asked)
    dataset = await made(house, ids)
    lines = (await exported(house, dataset, "shape=openai")).splitlines()
    answer = {"role": "assistant", "content": "The sky."}
    assert [json.loads(line) for line in lines] == [{"messages": [*asked["messages"], answer]}] * 2
    lines = (await exported(house, dataset, "shape=anthropic&format=jsonl")).splitlines()
    assert len(lines) == 2
    line = json.loads(lines[0])
    assert line["system"] == "Brief."
    assert [message["role"] for message in line["messages"]] == ["user", "assistant"]


async def test_a_row_that_makes_no_example_is_named(house: House) -> None:
    ids = [*put(house, 1), *put(house, 2, response={"error": {"message": "no"}})]
    dataset = await made(house, ids)
    wrong = (await rows_of(house, dataset))[0]["id"]
    for form in ("jsonl", "csv", "parquet"):
        said = await exported(house, dataset, f"shape=openai&format={form}", 422)
        assert f"row {wrong}: its response".encode() in said
        assert b"skip=true" in said
    assert (await exported(house, dataset, "shape=openai&skip=true")).count(b"\n") == 1
    assert (await exported(house, dataset, "shape=raw")).count(b"\n") == 2
    for query, field in (("format=x", b"format"), ("shape=x", b"shape"), ("skip=x", b"skip")):
        assert field in await exported(house, dataset, query, 422)


@pytest.mark.parametrize("shape", ["raw", "openai", "anthropic"])
async def test_all_formats_say_the_same(house: House, shape: str) -> None:
    dataset = await made(house, put(house, 1, 2))
    lines = [
        json.loads(line)
        for line in (await exported(house, dataset, f"shape={shape}")).splitlines()
    ]  # fmt: skip
    names = SHAPES.get(shape) or tuple(lines[0])
    text = (await exported(house, dataset, f"shape={shape}&format=csv")).decode()
    data = await exported(house, dataset, f"shape={shape}&format=parquet")
    sheet = list(csv.DictReader(io.StringIO(text)))
    table = pq.read_table(io.BytesIO(data)).to_pylist()
    assert len(lines) == len(sheet) == len(table) == 2
    for line, of_sheet, of_table in zip(lines, sheet, table, strict=True):
        assert tuple(of_sheet) == tuple(of_table) == names
        for name in names:
            value = line.get(name)
            cell = value if isinstance(value, str | None) else json.dumps(value)
            for found in (of_sheet[name] or None, of_table[name]):
                is_text = found is None or isinstance(value, str)
                assert (found if is_text else json.loads(found)) == (cell if is_text else value), (
                    name
                )


async def test_an_empty_dataset_has_no_rows(house: House) -> None:
    dataset = await made(house, [])
    assert await exported(house, dataset, "shape=openai") == b""
    assert (await exported(house, dataset, "format=csv")).startswith(b"id,origin_request_id")
    data = await exported(house, dataset, "format=parquet")
    assert pq.read_table(io.BytesIO(data)).num_rows == 0
