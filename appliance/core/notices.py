"""Where news go: addresses of mail, Slack's incoming webhooks, webhooks of any kind.

Pure. Reading what a user entered, showing it without its secrets, and making the news of one event.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from appliance.core.outbound import masked
from appliance.errors import Refusal

EMAILS_MAX: Final = 20
URLS_MAX: Final = 10
EMAIL_CHARACTERS_MAX: Final = 254
# One address, not a list of them and no line of a head.
EMAIL: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
_EVENTS: Final = uuid.UUID("6f1d3b1e-9d0e-5d55-8d0a-6a4b6f9d2c11")

# The URL as it may be used, by what was entered and the name of its field. Raises Refusal 422.
CheckUrl = Callable[[object, str], str]


@dataclass(frozen=True, slots=True)
class Channels:
    """The URLs hold secrets."""

    emails: tuple[str, ...] = ()
    slack: tuple[str, ...] = field(default=(), repr=False)
    webhooks: tuple[str, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.emails or self.slack or self.webhooks)

    def secrets(self) -> str:
        """What is to be sealed."""
        return json.dumps([self.slack, self.webhooks])

    def shown(self) -> dict[str, list[str]]:
        """Without the secrets."""
        return {
            "emails": list(self.emails),
            "slack_channels": [masked(url) for url in self.slack],
            "webhooks": [masked(url) for url in self.webhooks],
        }


def opened(emails: str, secrets: str) -> Channels:
    """As they were stored."""
    slack, webhooks = json.loads(secrets)
    return Channels(tuple(json.loads(emails)), tuple(slack), tuple(webhooks))


def read_channels(body: Mapping[str, Any], before: Channels, check: CheckUrl) -> Channels:
    """`emails`, `slack_channels` and `webhooks` of a body; what is not given stays as it was. A URL
    in the form in which it was shown stands for itself. Raises Refusal 422."""
    found = Channels(
        _emails(body["emails"]) if body.get("emails") is not None else before.emails,
        _urls(body, "slack_channels", before.slack, check),
        _urls(body, "webhooks", before.webhooks, check),
    )
    if not found:
        _invalid("emails", "give at least one of emails, slack_channels and webhooks")
    return found


def _emails(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > EMAILS_MAX:
        _invalid("emails", f"expected a list of at most {EMAILS_MAX}")
    for place, text in enumerate(value):
        if (
            not isinstance(text, str)
            or len(text) > EMAIL_CHARACTERS_MAX
            or not EMAIL.fullmatch(text)
        ):
            _invalid(f"emails.{place}", "expected an address such as name@example.com")
    return tuple(dict.fromkeys(value))


def _urls(
    body: Mapping[str, Any], name: str, before: tuple[str, ...], check: CheckUrl
) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        return before
    if not isinstance(value, list) or len(value) > URLS_MAX:
        _invalid(name, f"expected a list of at most {URLS_MAX} URLs")
    known = {masked(url): url for url in before}
    found = [
        known[text] if isinstance(text, str) and text in known else check(text, f"{name}.{place}")
        for place, text in enumerate(value)
    ]
    return tuple(dict.fromkeys(found))


class Draft(NamedTuple):
    """One piece of news, before its destination is sealed."""

    id: str
    channel: str
    destination: str
    subject: str
    body: str


def drafts(
    event_id: str, channels: Channels, subject: str, text: str, event: Mapping[str, Any]
) -> list[Draft]:
    """One for each destination; of the same event always with the same ids. Receivers of mails do
    not see each other. `event` goes to webhooks as JSON."""
    slack = _json({"text": f"*{subject}*\n{text}"})
    plain = _json(event)
    found = [
        *(("email", address, text) for address in channels.emails),
        *(("slack", url, slack) for url in channels.slack),
        *(("webhook", url, plain) for url in channels.webhooks),
    ]
    return [
        Draft(str(uuid.uuid5(_EVENTS, f"{event_id} {channel} {to}")), channel, to, subject, body)
        for channel, to, body in found
    ]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _invalid(name: str, why: str) -> NoReturn:
    raise Refusal(422, "field_invalid", f"{name}: {why}")
