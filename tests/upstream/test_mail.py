"""Mails over real sockets: encrypted as configured; servers that refuse, hang or are not there."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from appliance.config_options import Smtp
from appliance.upstream import mail
from appliance.upstream.mail import MailFailed, send_mail, sender_of
from tests.certificates import Authority
from tests.fakes.mail_server import MailServer


def smtp(server: MailServer, **more: Any) -> Smtp:
    known = {"host": "localhost", "port": server.port, "security": "none", **more}
    return Smtp(**known)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(*authority.issue("localhost").write(tmp_path, "mail"))
    return found


def test_a_mail_as_it_comes() -> None:
    server = MailServer()
    with server.listening():
        send_mail(smtp(server, sender="h@h.example"), ["a@b.example"], "Spend ü", "Text ü\n.dot")
    (got,) = server.mails
    assert (got.to, got.message["From"], got.message["Subject"]) == (
        ["a@b.example"], "h@h.example", "Spend ü",
    )  # fmt: skip
    assert got.text.strip().splitlines() == ["Text ü", ".dot"]
    assert got.message["Auto-Submitted"] == "auto-generated"
    assert got.message["Message-ID"].endswith("@h.example>")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_with_an_account(context: ssl.SSLContext, security: str) -> None:
    server = MailServer(("user@h.example", "pass"), context, at_once=security == "tls")
    with server.listening():
        known = {"security": security, "username": "user@h.example"}
        send_mail(smtp(server, password="pass", **known), ["a@b.example"], "S", "T")
        with pytest.raises(MailFailed, match="the mail server refuses") as caught:
            send_mail(smtp(server, password="wrong-word", **known), ["a@b.example"], "S", "T")
    assert "wrong-word" not in str(caught.value)
    assert len(server.mails) == 1
    assert server.mails[0].message["From"] == "user@h.example"


def test_nothing_is_said_to_a_server_that_nobody_vouches_for(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_bytes(Authority().certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    server = MailServer(context=context)
    with server.listening(), pytest.raises(MailFailed, match="localhost"):
        send_mail(smtp(server, security="starttls"), ["a@b.example"], "S", "T")
    plain = MailServer()  # one that offers no TLS is not talked to in the clear
    with plain.listening(), pytest.raises(MailFailed):
        send_mail(smtp(plain, security="starttls"), ["a@b.example"], "S", "T")
    assert server.mails == plain.mails == []


def test_servers_that_refuse_hang_or_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    server = MailServer(refuses=550)
    with server.listening(), pytest.raises(MailFailed, match="SMTPRecipientsRefused"):
        send_mail(smtp(server), ["a@b.example"], "S", "T")
    monkeypatch.setattr(mail, "TIMEOUT_S", 0.2)
    silent = MailServer(silent=True)
    with silent.listening(), pytest.raises(MailFailed, match=f"localhost:{silent.port}"):
        send_mail(smtp(silent), ["a@b.example"], "S", "T")
    with pytest.raises(MailFailed, match="Connection refused"):
        send_mail(Smtp(host="127.0.0.1", port=1, security="none"), ["a@b.example"], "S", "T")


def test_who_mails_are_from() -> None:
    assert sender_of(Smtp(host="m.example", sender="a@b.example", username="c@d.example")) == (
        "a@b.example"
    )
    assert sender_of(Smtp(host="m.example", username="c@d.example")) == "c@d.example"
    assert sender_of(Smtp(host="m.example", username="c")) == "helicone-appliance@m.example"
