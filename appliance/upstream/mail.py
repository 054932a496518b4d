"""One mail by SMTP. Blocking; smtplib and the mail classes are loaded by the first one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from appliance.upstream.tls import default_context

if TYPE_CHECKING:
    import smtplib
    import ssl

    from appliance.config import Smtp

TIMEOUT_S: Final = 20.0


class MailFailed(Exception):  # noqa: N818
    """Why a mail was not taken; without what was said, which may hold the password."""


def send_mail(smtp: Smtp, to: Sequence[str], subject: str, text: str) -> None:
    """Hand it to the mail server of the configuration. Raises MailFailed."""
    import smtplib
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    message = EmailMessage()
    message["From"] = sender_of(smtp)
    message["To"] = ", ".join(to)
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender_of(smtp).rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        with _connected(smtp, default_context()) as server:
            refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise MailFailed(f"the mail server refuses smtp.username: {error.smtp_code}") from None
    except smtplib.SMTPResponseException as error:
        raise MailFailed(f"the mail server answered {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else ""
        raise MailFailed(f"{smtp.host}:{smtp.port}: {words or type(error).__name__}") from None
    if refused:
        raise MailFailed(f"the mail server refuses {len(refused)} of {len(to)} addresses")


def sender_of(smtp: Smtp) -> str:
    """Whom mails are from, where the configuration does not say."""
    if smtp.sender:
        return smtp.sender
    if smtp.username and "@" in smtp.username:
        return smtp.username
    return f"helicone-appliance@{smtp.host}"


def _connected(smtp: Smtp, context: ssl.SSLContext) -> smtplib.SMTP:
    import smtplib

    if smtp.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            smtp.host, smtp.port, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT_S)
    try:
        if smtp.security == "starttls":
            server.starttls(context=context)
        if smtp.username:
            server.login(smtp.username, smtp.password or "")
    except BaseException:
        server.close()
        raise
    return server
