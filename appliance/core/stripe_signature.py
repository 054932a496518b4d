"""Whether a webhook's body came from Stripe: the header `stripe-signature`, over the raw body.

Its form is `t=<unix seconds>,v1=<hex>,…`; each v1 is the HMAC-SHA256 of `<t>.<body>`. There are
several while a secret is rotated. Pure, time passed in.
"""

import hashlib
import hmac
import re
from typing import Final

from appliance.errors import Refusal

TOLERANCE_S: Final = 300
# A genuine one has two at most; each one more costs a comparison.
SIGNATURES_MAX: Final = 8
HEADER_BYTES_MAX: Final = 4096
SECONDS: Final = re.compile(r"[0-9]{1,12}")


class Signature:
    """What the header says, read before the body is."""

    __slots__ = ("_signed", "_time")

    def __init__(self, header: bytes | None, now_s: float) -> None:
        """Raises Refusal 400: missing, malformed, too old, or from the future. `now_s` is Unix
        time."""
        if not header:
            raise _refused("the header is missing")
        if len(header) > HEADER_BYTES_MAX:
            raise _refused("the header is too long")
        time, signed = "", []
        for item in header.decode("latin-1").split(","):
            name, _, value = item.strip().partition("=")
            if name == "t":
                time = value
            elif name == "v1":
                signed.append(value)
        if not SECONDS.fullmatch(time) or not 1 <= len(signed) <= SIGNATURES_MAX:
            raise _refused("expected t=<seconds>,v1=<signature>")
        if abs(now_s - int(time)) > TOLERANCE_S:
            raise _refused("signed more than five minutes from now; is this machine's clock right?")
        self._time = time.encode("ascii")
        self._signed = [text.encode("latin-1") for text in signed]

    def check(self, body: bytes, secret: str) -> None:
        """Closed: raises Refusal 400 when none of the signatures is that of the body."""
        mac = hmac.new(secret.encode("ascii"), self._time + b"." + body, hashlib.sha256)
        expected = mac.hexdigest().encode("ascii")
        # All of them are compared, so that the time tells nothing of which one is near.
        if not sum([hmac.compare_digest(text, expected) for text in self._signed]):
            raise _refused(
                "no signature of this body; is stripe_webhook_secret that of its sender?"
            )


def _refused(why: str) -> Refusal:
    return Refusal(400, "stripe_signature", f"stripe-signature: {why}")
