"""The page behind a one-time link, and to sign in: plain HTML without any script, so that it works
before, and without, everything else of the UI.

Opening the page uses no link up: programs that look at links in mails and chats open them too.
"""

from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api.incoming import read_raw
from appliance.api.sign_in_acts import look_at_link, with_key, with_link, with_password
from appliance.core.passwords import CHARACTERS_MIN
from appliance.errors import Refusal
from storage.sign_in_links import Link

FORM_BYTES_MAX: Final = 16_384
FIELDS_MAX: Final = 8
FIELDS: Final = ("token", "email", "password", "name", "key")
# With no-referrer the form's Origin would be "null", and it would be refused as a stranger's.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
STYLE: Final = (
    "body{font:16px system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem;"
    "color-scheme:light dark}label{display:block;margin:1rem 0 .25rem}"
    "input,button{font:inherit;width:100%;padding:.5rem;box-sizing:border-box}"
    "button{margin-top:1.5rem}p.no{border-left:4px solid #c00;padding-left:.75rem}"
)

router = APIRouter(default_response_class=Response, include_in_schema=False)


@router.get("/sign-in")
async def page(request: Request) -> Response:
    """The form; for a one-time link, what it asks for."""
    token = request.query_params.get("token", "")
    if not token:
        return _shown(_form(""), 200)
    try:
        link = await look_at_link(request, token)
    except Refusal as refusal:
        return _shown(_problem(refusal) + _form(""), refusal.status)
    return _shown(_link_form(link, token), 200)


@router.post("/sign-in")
async def sent(request: Request) -> Response:
    """The form as it was filled in; on to the UI with the session's cookie."""
    form = _fields(await read_raw(request, FORM_BYTES_MAX))
    act = with_link if form.get("token") else with_key if form.get("key") else with_password
    try:
        opened = await act(request, form)
    except Refusal as refusal:
        return _shown(_problem(refusal) + await _again(request, form), refusal.status)
    headers = {"Location": "/", "Set-Cookie": opened.cookie, "Cache-Control": "no-store"}
    return Response(b"", 303, headers)


async def _again(request: Request, form: dict[str, Any]) -> str:
    if form.get("token"):
        try:
            return _link_form(await look_at_link(request, form["token"]), form["token"])
        except Refusal:
            return ""
    return _form(form.get("email", ""))


def _fields(data: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise Refusal(400, "body_invalid", "body: expected the fields of the form") from None
    return {name: value for name, value in pairs if name in FIELDS and value}


def _link_form(link: Link, token: str) -> str:
    title = {
        "first": "Make the first account",
        "invite": "Accept the invitation",
        "reset": "Set a new password",
    }[link.kind]
    email = (
        _input("email", "E-mail address", "email", "username")
        if link.kind == "first"
        else f"<p>{escape(link.email)}</p>"
    )
    hint = " (if you have an account here already, its password)" if link.kind == "invite" else ""
    return (
        f"<h1>{title}</h1><form method=post action=/sign-in>"
        f'<input type=hidden name=token value="{escape(token)}">{email}'
        + _input(
            "password",
            f"Password, at least {CHARACTERS_MIN} characters{hint}",
            "password",
            "new-password",
        )
        + "<button>Go on</button></form>"
    )


def _form(email: str) -> str:
    return (
        "<h1>Sign in</h1><form method=post action=/sign-in>"
        + _input("email", "E-mail address", "email", "username", email)
        + _input("password", "Password", "password", "current-password")
        + "<button>Sign in</button></form><h2>Or with a key</h2>"
        "<form method=post action=/sign-in>"
        + _input("key", "Helicone key", "password", "off")
        + "<button>Sign in</button></form>"
    )


def _input(name: str, label: str, kind: str, complete: str, value: str = "") -> str:
    return (
        f"<label for={name}>{escape(label)}</label>"
        f'<input id={name} name={name} type={kind} autocomplete={complete} value="{escape(value)}"'
        " required>"
    )


def _problem(refusal: Refusal) -> str:
    return f"<p class=no role=alert>{escape(refusal.message)}</p>"


def _shown(content: str, status: int) -> Response:
    html = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>helicone-appliance</title><style>{STYLE}</style>{content}</html>"
    )
    return Response(html, status, HEADERS, "text/html; charset=utf-8")
