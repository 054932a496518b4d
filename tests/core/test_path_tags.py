"""Headers in the path: what is taken off its front, and what may not be said there."""

import pytest

from appliance.core.path_tags import TAGS_MAX, take_tags
from appliance.errors import Refusal
from tests.door.asking import BEARER, KEY, go


@pytest.mark.parametrize(
    ("path", "rest", "tags"),
    [
        (b"/v1/x", b"/v1/x", None),
        (b"/helicone-session-id=a/v1/x", b"/v1/x", {b"helicone-session-id": b"a"}),
        (b"/helicone-session-id=a", b"/", {b"helicone-session-id": b"a"}),
        (b"/Helicone-User-Id=u/v1", b"/Helicone-User-Id=u/v1", None),
        (b"/helicone-User-Id=u/v1", b"/v1", {b"helicone-user-id": b"u"}),
        (b"/helicone-property-team=s/x", b"/x", {b"helicone-property-team": b"s"}),
        (b"/helicone-session-path=%2Fa%2Fb/x", b"/x", {b"helicone-session-path": b"/a/b"}),
        (b"/helicone-session-name=caf%C3%A9/x", b"/x", {b"helicone-session-name": b"caf\xc3\xa9"}),
        (
            b"/helicone-session-id=a/helicone-fault=status%3D503/x",
            b"/x",
            {b"helicone-session-id": b"a", b"helicone-fault": b"status=503"},
        ),
        # Only at the front, and only with a value: else it is the provider's path.
        (b"/v1/helicone-session-id=a", b"/v1/helicone-session-id=a", None),
        (b"/helicone-session-id/v1", b"/helicone-session-id/v1", None),
    ],
)
def test_what_is_taken(path: bytes, rest: bytes, tags: dict[bytes, bytes] | None) -> None:
    assert take_tags(path) == (rest, tags)


@pytest.mark.parametrize(
    "path",
    [
        b"/helicone-auth=x/v1",  # who pays
        b"/helicone-target-url=http%3A%2F%2Fx/v1",  # where it goes
        b"/helicone-session-idd=x/v1",
        b"/helicone-session-id=/v1",
        b"/helicone-session-id=a%0D%0Ab/v1",
        b"/helicone-session-id=%20a/v1",
        b"".join(b"/helicone-property-%d=x" % n for n in range(TAGS_MAX + 1)),
    ],
)
def test_what_is_refused(path: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        take_tags(path)
    assert (refused.value.status, refused.value.code) == (400, "path_tag_invalid")
    assert refused.value.message.startswith("helicone-")


@pytest.mark.parametrize("front", [f"/{KEY}/helicone-user-id=u", f"/helicone-user-id=u/{KEY}"])
def test_tags_and_key_leave_the_path(front: str) -> None:
    found = go(f"{front}/v1/gateway/oai/v1/chat/completions?a=b")
    assert found.path == b"/v1/chat/completions?a=b"
    assert found.record_path == b"/v1/gateway/oai/v1/chat/completions?a=b"
    assert found.tags == {b"helicone-user-id": b"u"}
    assert found.helicone_key_in_path == KEY


def test_without_tags_there_are_none() -> None:
    assert go("/v1/chat/completions", BEARER).tags is None
