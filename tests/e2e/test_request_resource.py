"""Recorded requests over REST, at a real server: edits, links, the live stream, the export."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from appliance.api.streamed import STREAMS_MAX
from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a word"}]}
LIST = "/v1/request/query-clickhouse"
V7 = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def target(url: str, appliance: Appliance) -> str:
    assert url.startswith(appliance.url + "/v1/signed/")
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_edits_show_at_once_and_after_a_kill(tmp_path: Path, provider: Provider) -> None:
    appliance = Appliance(tmp_path, provider)
    with appliance:
        made = appliance.call(CHAT, ASK, {"Helicone-Request-Id": V7, "Helicone-Prompt-Id": "p"})
        assert made.status == 200
        one = f"/v1/request/{V7}"
        before = appliance.call(one, method="GET").json["data"]
        for _ in range(2):
            assert appliance.call(f"{one}/feedback", {"rating": True}).status == 200
            edited = appliance.call(f"{one}/property", {"key": "App", "value": "x"}, method="PUT")
            assert edited.status == 200
            scores = {"scores": {"quality": 0.5, "ok": True}}
            assert appliance.call(f"{one}/score", scores).status == 200
            after = appliance.call(one, method="GET").json["data"]
            assert after["scores"] == {
                "quality": 0.5, "ok-hcone-bool": 1, "helicone-score-feedback": 1,
            }  # fmt: skip
            assert after["properties"] == {**before["properties"], "App": "x"}
            assert (after["feedback_rating"], after["prompt_id"]) == (True, before["prompt_id"])
        appliance.restart()  # killed: what was acknowledged is there
        listed = appliance.call(LIST, {"filter": {"properties": {"App": {"equals": "x"}}}})
        (row,) = listed.json["data"]
        assert row["scores"] == after["scores"]
        bodies = appliance.call(target(row["signed_body_url"], appliance), method="GET")
        assert bodies.json["request"] == ASK
        assert bodies.json == {"request": row["request_body"], "response": row["response_body"]}
        wrong = target(row["signed_body_url"], appliance)[:-1] + "x"
        assert appliance.call(wrong, method="GET").status == 403
        assert appliance.call("/v1/feedback", {"helicone-id": V7, "rating": False}).status == 200
        assert appliance.call(one, method="GET").json["data"]["feedback_rating"] is False


def test_the_last_edit_counts_though_the_clock_went_back(
    tmp_path: Path, provider: Provider
) -> None:
    """Killed a day ahead, it begins anew with the clock set right."""
    appliance = Appliance(
        tmp_path, provider, program="tests.fakes.leaping_program",
        environ={"HELICONE_TEST_CLOCK_S": "86400"},
    )  # fmt: skip
    with appliance:
        assert appliance.call(CHAT, ASK, {"Helicone-Request-Id": V7}).status == 200
        one = f"/v1/request/{V7}"
        seen = []
        for rating, value in ((True, 0.25), (False, 0.75)):
            edited = appliance.call(f"{one}/score", {"scores": {"quality": value}})
            assert edited.status == 200
            assert appliance.call(f"{one}/feedback", {"rating": rating}).status == 200
            row = appliance.call(one, method="GET").json["data"]
            seen.append((row["scores"]["quality"], row["feedback_rating"]))
            appliance.environ["HELICONE_TEST_CLOCK_S"] = "0"
            appliance.restart()
        assert seen == [(0.25, True), (0.75, False)]


def test_an_export_of_everything_and_of_the_rest(appliance: Appliance) -> None:
    session = {"Helicone-Session-Id": "export me"}
    ids = [appliance.call(CHAT, ASK, session).id for _ in range(5)]
    base = "/v1/export?session=export%20me&bodies=true"
    whole = appliance.call(base, method="GET")
    assert (whole.status, whole.end) == (200, "clean")
    rows = [json.loads(line) for line in whole.body.splitlines()]
    assert [row["request_id"] for row in rows] == ids
    assert rows[0]["request_body"] == ASK
    rest = appliance.call(f"{base}&cursor={rows[2]['exchange_id']}", method="GET")
    assert rest.body.splitlines() == whole.body.splitlines()[3:]
    parquet = appliance.call(f"{base}&format=parquet", method="GET")
    assert (parquet.end, parquet.body[:4], parquet.body[-4:]) == ("clean", b"PAR1", b"PAR1")
    table = appliance.call(f"{base}&format=csv", method="GET")
    assert table.body.count(b"\r\n") == 6
    assert not list((appliance.data / "tmp").glob("export-*"))
    # As the page asks: the filter is in the address, and one that is too long for it is said so.
    node = {"request_response_rmt": {"request_id": {"equals": ids[1]}}}
    found = appliance.call(f"/v1/export?{urlencode({'filter': json.dumps(node)})}", method="GET")
    assert [json.loads(line)["request_id"] for line in found.body.splitlines()] == [ids[1]]
    encoded = appliance.call("/v1/export?filter=" + "%20" * 16_000 + "%22all%22", method="GET")
    assert (encoded.status, encoded.end) == (200, "clean")
    assert appliance.call("/v1/export?filter=" + "%22" * 17_000, method="GET").status == 414
    assert appliance.call("/v1/export?filter=" + "x" * 70_000, method="GET").status == 414


def test_the_live_stream_tells_what_ends(appliance: Appliance) -> None:
    user = {"Helicone-User-Id": "listened to"}
    with appliance.client() as client:
        client.request("/v1/request/live?user=listened%20to", method="GET")
        client.read_until(b"retry: 2000\n\n")
        calls = threading.Thread(target=lambda: appliance.call(CHAT, ASK, user))
        calls.start()
        client.read_until(b"event: request\ndata: ")
        told = json.loads(client.read_until(b"\n"))
        calls.join()
    assert told["request_user_id"] == "listened to"
    assert UUID(told["request_id"])
    # While somebody listens, everybody else is answered.
    assert appliance.call(LIST, {"filter": "all", "limit": 1}).status == 200


def test_a_stop_does_not_wait_for_listeners(tmp_path: Path, provider: Provider) -> None:
    appliance = Appliance(tmp_path, provider, config="grace_s = 600\n")
    with appliance, appliance.client() as client:
        client.request("/v1/request/live", method="GET")
        client.read_until(b"retry: 2000\n\n")
        appliance.terminate()
        client.read_until(b"\r\n0\r\n\r\n")  # a whole reply: the listener knows that it is over
        assert appliance.wait() == 0


def test_regions_share_no_request(tmp_path: Path, provider: Provider) -> None:
    eu = tmp_path / "europe"
    appliance = Appliance(tmp_path, provider, config=f'eu_data_dir = "{eu}"\n')
    key = {"Helicone-Auth": "Bearer sk-helicone-eu-aaaaaaa-bbbbbbb-ccccccc-ddddddd"}
    with appliance:
        there = appliance.call(CHAT, ASK, key).id
        assert appliance.call(f"/v1/request/{there}/feedback", {"rating": True}).status == 404
        assert appliance.call(f"/v1/request/{there}/feedback", {"rating": True}, key).status == 200
        row = appliance.call(f"/v1/request/{there}", None, key, method="GET").json["data"]
        assert row["feedback_rating"] is True
        link = target(row["signed_body_url"], appliance)
        assert "/v1/signed/eu/" in link
        assert appliance.call(link, method="GET").json["request"] == ASK
        assert appliance.call(link.replace("/eu/", "/us/"), method="GET").status == 403


def test_listeners_that_leave_are_let_go(appliance: Appliance) -> None:
    """More than may listen at once, one after the other: each makes room for the next."""

    def listens() -> bool:
        with appliance.client() as client:
            client.request("/v1/request/live", method="GET")
            return client.read_until(b"\r\n").startswith(b"HTTP/1.1 200")

    for _ in range(STREAMS_MAX + 4):
        until(listens)
