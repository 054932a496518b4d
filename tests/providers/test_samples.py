"""Every row that counts as documented, against its sample (M2, 100+ providers).

A sample holds what the pages it names say, in words and numbers of ours: where a call goes, how the
key travels, a success with its usage, an error. `basis` is who says so of the error's shape: the
provider's own page or package (`own`), an open client written for it (`client`), or the source of
the server that people run (`code`).
"""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from appliance.core.attempt_errors import provider_message
from appliance.core.credential_header import with_secret
from appliance.core.facts import read_facts
from appliance.core.price_card import MODALITIES
from appliance.core.provider_credentials import Secret
from appliance.core.urls import HostList, TargetPolicy, is_private, parse_target
from appliance.core.usage import usage_to_map
from appliance.door.routes import Routing
from appliance.providers.price_data import LISTS, open_book, overlay_rows
from appliance.providers.table import Provider, ProviderTable
from tests.door.asking import BEARER, TABLE, go, sent

FOLDER = Path(__file__).parent / "samples"
SAMPLES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.iterdir())
}
DOCUMENTED = [row for row in TABLE.rows.values() if row.standing == "documented"]
GENERIC = [row for row in TABLE.rows.values() if row.standing == "generic"]
HOSTED = [row for row in DOCUMENTED if row.auth != "none"]
each_documented = pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row.id)
each_hosted = pytest.mark.parametrize("row", HOSTED, ids=lambda row: row.id)

BOOK = open_book([])
PRICED = {*LISTS, *(row.provider for row in overlay_rows())}
AT_US = 1_763_769_600_000_000
KEY = "k-of-ours_1"
# How a key of ours leaves, by what the sample's page says.
SENT_AS = {
    "bearer": ((b"Authorization", f"Bearer {KEY}".encode()), b""),
    "x-api-key": ((b"x-api-key", KEY.encode()), b""),
    "api-key": ((b"api-key", KEY.encode()), b""),
    "query": (None, f"key={KEY}".encode()),
    "none": (None, b""),
}
PRIVATE = Routing(TABLE, policy=TargetPolicy(HostList(), private=True))


def facts_of(row: Provider, sample: dict[str, Any], body: object, status: int) -> Any:
    """What a record says of a reply, from the bytes on."""
    meta = {
        "outcome": "complete",
        "http_status": status,
        "method": "POST",
        "path": urlsplit(sample["url"]).path,
        "provider": row.record_name,
        "gateway_provider": row.id,
        "dialect": row.dialect,
        "request_type": "application/json",
        "response_type": "application/json",
        "attempts": [{"target": row.id}],
    }
    asked = json.dumps({"model": sample["model"], "messages": []}).encode()
    return read_facts(meta, asked, json.dumps(body).encode())


def test_a_row_is_documented_when_it_has_a_sample_and_only_then() -> None:
    assert {row.id for row in DOCUMENTED} == set(SAMPLES)
    assert len(DOCUMENTED) >= 104, "one was lost"
    assert not {row.id for row in GENERIC} & set(SAMPLES)
    assert all(row.taken == "" for row in GENERIC)


@each_documented
def test_pages_and_dates(row: Provider) -> None:
    sample = SAMPLES[row.id]
    assert sample["page"] == row.doc
    for page in (row.doc, sample["error"]["page"]):
        assert urlsplit(page).scheme == "https"
        assert urlsplit(page).path.strip("/"), "a page, not a site"
    assert date.fromisoformat(row.taken) >= date(2026, 11, 1)
    assert sample["error"]["basis"] in ("own", "client", "code")


@each_documented
def test_a_call_goes_where_the_page_says(row: Provider) -> None:
    """By the provider's path below the gateway, by its segment, and by the target's header."""
    url = SAMPLES[row.id]["url"]
    base = row.in_region("")
    # Some speak a dialect of their own next to the address that their row has.
    beside = bool(SAMPLES[row.id].get("beside_base"))
    assert beside or url.startswith(base)
    if base and not beside:
        rest = url.removeprefix(base)
        for path in (f"/v1/gateway/{row.id}{rest}", f"/{row.id}{rest}"):
            found = go(path, BEARER, routing=PRIVATE)
            assert (sent(found), found.provider) == (url, row)
    if not row.hosts:
        return  # it has no address but the one that the user gives
    parts = urlsplit(url)
    origin, rest = (
        f"{parts.scheme}://{parts.netloc}",
        url.removeprefix(f"{parts.scheme}://{parts.netloc}"),
    )
    headers = {**BEARER, "helicone-target-url": origin}
    found = go(rest, headers, host="gateway.helicone.ai", routing=PRIVATE)
    assert (sent(found), found.provider) == (url, row)


@pytest.mark.parametrize(
    "row", [row for row in DOCUMENTED if not row.hosts and not row.base_url], ids=lambda row: row.id
)
def test_a_row_without_an_address_takes_the_users(row: Provider) -> None:
    url = SAMPLES[row.id]["url"]
    target = parse_target(url)
    table = ProviderTable.from_config({row.id: {"base_url": f"{target.origin}/v1"}})
    own = table.rows[row.id]
    assert (own.configured, own.auth, own.standing) == (True, "none", "documented")
    rest = url.removeprefix(f"{target.origin}/v1")
    found = go(f"/{row.id}{rest}", BEARER, routing=Routing(table, policy=TargetPolicy(HostList())))
    assert sent(found) == url


@each_documented
def test_no_row_reaches_into_a_network_of_ones_own(row: Provider) -> None:
    """Neither does a host pattern lead there, nor to look-alikes."""
    host = parse_target(SAMPLES[row.id]["url"]).host
    if is_private(host):
        assert row.auth == "none"
        return
    assert not row.private
    for other in (f"{host}.evil.example", f"evil-{host}", f"{host}."):
        found = TABLE.by_host(other, 443)
        assert found is None or (found is row and "*" in "".join(row.hosts) and other[0] == "e")


@each_documented
def test_the_key_travels_as_the_page_says(row: Provider) -> None:
    sample = SAMPLES[row.id]
    path = urlsplit(sample["url"]).path.encode()
    client = [(b"Authorization", b"Bearer sk-helicone-x"), (b"x-api-key", b"y"), (b"Accept", b"*")]
    written = with_secret(client, path, row.auth, Secret(KEY))
    field, query = SENT_AS[sample["auth"]]
    if sample["auth"] == "none":
        assert written.fields == client
        return
    # Nothing that the client sent to us goes out beside it.
    assert written.fields == [(b"Accept", b"*"), *([field] if field else [])]
    assert written.path == (path + b"?" + query if query else path)
    assert row.key_env or row.auth == "aws-sigv4" or row.id == "helicone"


@each_documented
def test_the_usage_of_a_success_is_read(row: Provider) -> None:
    sample = SAMPLES[row.id]
    facts = facts_of(row, sample, sample["success"], 200)
    assert (facts.outcome, facts.status, facts.usage_source) == ("complete", 200, "provider")
    assert facts.model == sample["success"].get("model", sample["model"]) or row.dialect != "openai"
    assert facts.usage is not None
    found = usage_to_map(facts.usage)
    assert {name: found.pop(name, 0) for name in sample["usage"]} == sample["usage"]
    assert not found, "read more than there is"
    assert not any(name in found for name in MODALITIES)


@each_documented
def test_an_error_is_recognised(row: Provider) -> None:
    sample = SAMPLES[row.id]
    error = sample["error"]
    assert provider_message(json.dumps(error["body"]).encode()) == error["message"]
    facts = facts_of(row, sample, error["body"], error["status"])
    assert (facts.usage, facts.usage_source) == (None, "none")
    # An error that calls itself a success is one all the same.
    in_200 = error["status"] == 200
    outcome, status = ("error_in_200", 500) if in_200 else ("complete", error["status"])
    assert (facts.outcome, facts.status) == (outcome, status)
    assert in_200 or 400 <= error["status"] < 600


@each_documented
def test_the_price_is_known_where_a_list_has_it(row: Provider) -> None:
    sample = SAMPLES[row.id]
    facts = facts_of(row, sample, sample["success"], 200)
    for name in (row.id, row.record_name.lower()):
        priced = BOOK.price(name, sample["model"], facts.usage, AT_US)
        if facts.usage.cost_pico is not None:
            assert priced.cost_pico == facts.usage.cost_pico
        elif row.id in PRICED:
            assert priced.cost_pico is not None, "the list knows this model"
            assert priced.cost_pico > 0
        else:
            assert priced.cost_pico is None, "nobody told us a price"


def test_samples_are_the_providers_own() -> None:
    """None is a copy of another: each has ids, numbers and words of its own."""
    bodies = [json.dumps(sample["success"], sort_keys=True) for sample in SAMPLES.values()]
    assert len(set(bodies)) == len(bodies)
    text = "".join(bodies) + "".join(json.dumps(sample["error"]) for sample in SAMPLES.values())
    assert not re.search(r"sk-[A-Za-z0-9]{8}", text), "no key, not even a made-up one"
