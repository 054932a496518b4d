"""Alerts and reports through the program: from a call to the mail, and without a mail server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.hooks_kit import Receiver, data, rest
from tests.e2e.starting import until
from tests.e2e.test_status import status
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.mail_server import MailServer
from tests.fakes.provider import Provider

HASTY = "tests.fakes.hasty_program"
CONFIG = """
webhook_allow = ["127.0.0.1"]
public_url = "https://llm.example.com"
time_zone = "Europe/Berlin"
[smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "appliance@h.example"
username = "u"
password = "a-word-that-is-secret"
"""
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
ALERT: dict[str, Any] = {
    "name": "Errors ü", "metric": "count", "threshold": 3, "time_window": "3600000",
    "grouping": "user", "emails": ["a@b.example", "c@d.example"],
}  # fmt: skip


def test_from_the_call_to_the_mail(tmp_path: Path, provider: Provider) -> None:
    receiver, mails = Receiver(), MailServer(("u", "a-word-that-is-secret"))
    with receiver.listening(), mails.listening():
        config = CONFIG.format(port=mails.port)
        appliance = Appliance(tmp_path, provider, config=config, program=HASTY)
        with appliance:
            made = rest(
                appliance, "POST", "/v1/alert/create", {**ALERT, "webhooks": [receiver.url]}
            )
            assert made.json["warnings"] == []
            for user in ("u-1", "u-2", "u-1", "u-1"):
                assert appliance.call(CHAT, ASK, {"Helicone-User-Id": user}).status == 200
            until(lambda: len(mails.mails) == 2)
            (got,) = receiver.wait(1)
            assert got.json["type"] == "alert.triggered"
            assert got.json["groups"] == [{"name": "u-1", "value": "3.00", "requests": 3}]
            assert {mail.to[0] for mail in mails.mails} == {"a@b.example", "c@d.example"}
            mail = mails.mails[0]
            assert mail.message["Subject"] == "Alert triggered: Errors ü"
            assert "user u-1: 3.00 requests over 3 requests" in mail.text
            assert "https://llm.example.com/alerts" in mail.text
            found = data(rest(appliance, "GET", "/v1/alert/query"))
            assert found["alerts"][0]["status"] == "triggered"
            assert [one["status"] for one in found["history"]] == ["triggered"]
            # It is triggered still, and told of once: what is under way is noted before the end.
            assert appliance.stop() == 0
            appliance.start()
            report = data(rest(appliance, "POST", "/v1/reports", {"emails": ["r@b.example"]}))
            tried = data(rest(appliance, "POST", f"/v1/reports/{report['id']}/test"))
            assert tried == {"messages": 1, "warnings": []}
            until(lambda: len(mails.mails) == 3)
            assert "Requests: 4" in mails.mails[2].text
            assert "https://llm.example.com/dashboard" in mails.mails[2].text
            assert len(receiver.got) == 1
            again = data(rest(appliance, "GET", "/v1/alert/query"))
            assert again["history"] == found["history"]
            assert status(appliance)[1]["hints"] == []
        assert "a-word-that-is-secret" not in appliance.log


def test_without_a_mail_server_and_a_public_url_it_is_said(
    tmp_path: Path, provider: Provider
) -> None:
    with Appliance(tmp_path, provider) as appliance:
        made = rest(appliance, "POST", "/v1/alert/create", ALERT)
        no_mail, no_links = made.json["warnings"]
        assert "[smtp]" in no_mail
        assert "public_url" in no_links
        (alert,) = data(rest(appliance, "GET", "/v1/alert/query"))["alerts"]
        assert alert["warnings"] == [no_mail, no_links]
        report = data(rest(appliance, "POST", "/v1/reports", {"emails": ["r@b.example"]}))
        assert report["warnings"] == [no_mail, no_links]
        assert status(appliance)[1]["hints"] == [no_mail, no_links]


def test_a_mail_server_that_hangs_holds_up_neither_calls_nor_the_end(
    tmp_path: Path, provider: Provider
) -> None:
    mails = MailServer(silent=True)
    with mails.listening():
        config = CONFIG.format(port=mails.port)
        with Appliance(tmp_path, provider, config=config) as appliance:
            report = data(rest(appliance, "POST", "/v1/reports", {"emails": ["r@b.example"]}))
            # Right after a start the database may still be opening: 503, try again.
            until(lambda: rest(appliance, "POST", f"/v1/reports/{report['id']}/test").status != 503)
            until(lambda: mails.asked)
            assert appliance.call(CHAT, ASK).status == 200
            assert appliance.stop() == 0


def test_a_zone_that_nobody_knows_stops_the_start(tmp_path: Path) -> None:
    from tests.e2e.starting import failed_start

    _, line = failed_start(tmp_path, "--time-zone", "Europe/Atlantis")
    assert "time_zone = 'Europe/Atlantis'" in line
