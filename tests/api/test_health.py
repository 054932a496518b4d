"""Health, readiness, metrics: what they say and to whom."""

import pytest

from appliance.actors.supervisor import Report
from appliance.api.services import Health, Reason
from tests.api.kit import House

FOREIGN = ((b"host", b"rebound.example"),)
WRITER = ((b"authorization", b"Bearer writer"),)
READER = ((b"authorization", b"Bearer reader"),)


async def test_healthy(house: House) -> None:
    reply = await house.get("/healthcheck")
    assert reply.status == 200
    assert reply.json == {"status": "healthy", "reasons": [], "actors": [], "version": "1.2.3"}


async def test_degraded_is_still_200_and_says_why(house: House) -> None:
    reason = Reason("journal", "2026-09-01T00:00:00Z", "no space left")
    house.operations.answer = Health("degraded", [reason])
    reply = await house.get("/healthcheck")
    assert reply.status == 200
    assert reply.json["status"] == "degraded"
    assert reply.json["reasons"] == [
        {"part": "journal", "since": "2026-09-01T00:00:00Z", "detail": "no space left"}
    ]


@pytest.mark.parametrize(
    ("client", "headers", "detail"),
    [
        ("127.0.0.1", (), "/var/x is full"),
        ("192.0.2.7", READER, "/var/x is full"),
        ("192.0.2.7", WRITER, ""),
        ("192.0.2.7", (), ""),
    ],
)
async def test_a_stranger_is_told_the_part_and_no_more(
    house: House, client: str, headers: tuple[tuple[bytes, bytes], ...], detail: str
) -> None:
    house.access.open = False
    house.operations.answer = Health(
        "degraded", [Reason("journal", "2026-09-01", "/var/x is full")]
    )
    reply = await house.get("/healthcheck", client=client, headers=headers)
    assert reply.json["reasons"] == [{"part": "journal", "since": "2026-09-01", "detail": detail}]


async def test_actors_are_shown_to_all_and_their_errors_to_the_near(house: House) -> None:
    house.access.open = False
    actor = Report("limits", "down", 3, 7, "/var/x is full", "OSError: /var/x")
    house.operations.answer = Health("degraded", [], [actor])
    near = await house.get("/healthcheck")
    assert near.json["actors"] == [actor._asdict()]
    far = await house.get("/healthcheck", client="192.0.2.7")
    assert far.json["actors"] == [{**actor._asdict(), "trouble": "", "last_error": ""}]


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_ready(house: House, ready: bool, status: int) -> None:
    house.operations.is_ready = ready
    reply = await house.get("/readycheck")
    assert (reply.status, reply.json) == (status, {"ready": ready})


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", (), 200),
        ("192.0.2.7", (), 401),
        ("192.0.2.7", READER, 200),
        ("192.0.2.7", WRITER, 403),
        ("127.0.0.1", FOREIGN, 403),
        # A reverse proxy on this machine: its clients are not near, whatever they claim to be.
        ("127.0.0.1", ((b"x-forwarded-for", b"127.0.0.1"),), 401),
        ("127.0.0.1", ((b"forwarded", b"for=192.0.2.7"),), 401),
        ("127.0.0.1", ((b"x-real-ip", b"192.0.2.7"),), 401),
        ("127.0.0.1", ((b"via", b"1.1 caddy"), *READER), 200),
    ],
)
async def test_metrics_need_a_near_address_or_a_read_key(
    house: House, client: str, headers: tuple[tuple[bytes, bytes], ...], status: int
) -> None:
    house.access.open = False
    reply = await house.get("/metrics", client=client, headers=headers)
    assert reply.status == status
    assert (b"helicone_appliance_requests_total 3" in reply.body) == (status == 200)
    if status == 200:
        assert reply.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/healthcheck", "/readycheck", "/download/swagger.json"])
async def test_no_key_is_needed_for_the_public_ones(house: House, path: str) -> None:
    house.access.open = False
    assert (await house.get(path)).status == 200


@pytest.mark.parametrize("path", ["/healthcheck", "/readycheck", "/download/swagger.json"])
async def test_a_rebound_host_is_refused_everywhere(house: House, path: str) -> None:
    reply = await house.get(path, headers=FOREIGN)
    assert reply.status == 403
    assert reply.json["data"] is None
