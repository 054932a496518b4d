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
# The colours and sizes of ui/web/style.css, which this page does without.
STYLE: Final = (
    ":root{color-scheme:light dark;--line:light-dark(#dfe3e8,#2a313b);"
    "--strong:light-dark(#8a94a3,#6b7686);--muted:light-dark(#576171,#9aa5b5);"
    "--accent:light-dark(#0b62c4,#6cb0ff);--bad:light-dark(#b3261e,#ff8f86);"
    "--surface:light-dark(#fff,#161a20)}*{box-sizing:border-box}"
    "body{font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;margin:0;"
    "background:light-dark(#f7f8fa,#0f1216);color:light-dark(#1a1f27,#e6e9ee)}"
    "main{width:min(24rem,100% - 2rem);margin:0 auto;padding:min(14vh,7rem) 0 3rem}"
    ".brand{display:flex;align-items:center;justify-content:center;gap:10px;font-weight:650;"
    "margin-bottom:1.25rem}.brand svg{width:28px;height:28px}"
    ".card{background:var(--surface);border:1px solid var(--line);border-radius:10px;"
    "padding:1.25rem 1.5rem 1.5rem}h1{font-size:18px;margin:0}"
    "h2{font-size:14px;color:var(--muted);font-weight:500;margin:1.25rem 0 0;padding-top:1rem;"
    "border-top:1px solid var(--line)}p{margin:.5rem 0 0}"
    "label{display:block;font-weight:560;font-size:13px;margin:.9rem 0 .25rem}"
    "input,button{font:inherit;width:100%;padding:.45rem .6rem;border-radius:6px;"
    "border:1px solid var(--strong);background:var(--surface);color:inherit}"
    "button{margin-top:1.1rem;cursor:pointer;font-weight:600}"
    "button.primary{background:var(--accent);border-color:var(--accent);"
    "color:light-dark(#fff,#06121f)}"
    ":focus-visible{outline:2px solid var(--accent);outline-offset:2px}"
    "p.no{border:1px solid var(--line);border-left:4px solid var(--bad);border-radius:6px;"
    "padding:.5rem .75rem;margin:0 0 1rem}"
)
BRAND: Final = (
    '<div class=brand><svg viewBox="0 0 32 32" aria-hidden=true>'
    '<rect width=32 height=32 rx=8 fill="#0b6bcb"/><path d="M9 7v18M23 7v18M9 11c7 0 7 10 14 10M9 '
    '21c7 0 7-10 14-10" fill=none stroke="#fff" stroke-width=2.6 stroke-linecap=round /></svg>'
    "Helicone Appliance</div>"
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
        + "<button class=primary>Go on</button></form>"
    )


def _form(email: str) -> str:
    return (
        "<h1>Sign in</h1><form method=post action=/sign-in>"
        + _input("email", "E-mail address", "email", "username", email)
        + _input("password", "Password", "password", "current-password")
        + "<button class=primary>Sign in</button></form><h2>Or with a key</h2>"
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
        f"<title>Helicone Appliance</title><style>{STYLE}</style>"
        f"<main>{BRAND}<div class=card>{content}</div></main></html>"
    )
    return Response(html, status, HEADERS, "text/html; charset=utf-8")
