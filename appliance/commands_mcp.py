"""What `mcp` does: lines from an assistant in, lines to it out, questions to the server between."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any, Final

from appliance.banner import local_url
from appliance.commands import connect
from appliance.commands_run import HEALTH_S
from appliance.config import Config, load_config
from appliance.config_options import ConfigError
from appliance.control_client import ControlError
from appliance.core.mcp import Ask, answer
from appliance.errors import Refusal

KEY: Final = "HELICONE_API_KEY"
URL: Final = "HELICONE_BASE_URL"
TIMEOUT_S: Final = 300.0
REPLY_BYTES_MAX: Final = 32 << 20
LINE_CHARACTERS_MAX: Final = 16 << 20


def run_mcp(flags: Mapping[str, str], url: str) -> None:
    """Until the assistant closes the pipe. Raises ConfigError."""
    base = (url or os.environ.get(URL, "")).rstrip("/")
    if not base:
        base = _own_url(load_config(flags))
    if not base.startswith(("http://", "https://")):
        raise ConfigError(f"{base}: the server's address begins with http:// or https://")
    ask = asking(base, os.environ.get(KEY, ""))
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    # Half of an emoji, which a prompt that was cut has at its end, goes out as JSON writes it.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    while line := sys.stdin.readline(LINE_CHARACTERS_MAX):
        if line.strip() and (reply := answer(line, ask)) is not None:
            print(reply, flush=True)


def _own_url(config: Config) -> str:
    """Of the server that runs on the directory, whatever port it was given; else where one would
    listen by this configuration."""
    with suppress(ControlError):
        client = connect(config, "us", reply_s=HEALTH_S)
        if client is not None:
            with client:
                told = client.value("status", {"region": "us"})
            if isinstance(told, dict) and told.get("url"):
                return str(told["url"])
    return local_url(config, config.port)


def asking(base: str, key: str) -> Ask:
    """POSTs to the server. The key reaches nobody else: redirects are not followed."""
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))

    def ask(path: str, body: Any, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
        # A header's text goes out as UTF-8, for which the library has no other way.
        sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        sent["Content-Type"] = "application/json"
        if key:
            sent["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(  # noqa: S310 - http or https, checked above
            base + path, json.dumps(body).encode(), sent
        )
        try:
            with opener.open(request, timeout=TIMEOUT_S) as reply:
                data = reply.read(REPLY_BYTES_MAX + 1)
                kind = reply.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error) from None
        except (OSError, ValueError, HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise Refusal(503, "unreachable", f"{base} does not answer: {why}") from None
        if len(data) > REPLY_BYTES_MAX:
            raise Refusal(413, "too_large", "the answer is larger than 32 MiB: lower limit")
        text = data.decode("utf-8", "replace")
        return _json(text) if kind == "application/json" else text

    return ask


def _json(text: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(502, "no_json", f"the answer is no JSON: {text[:200]}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _refused(error: urllib.error.HTTPError) -> Refusal:
    """In the server's own words."""
    text = error.read(REPLY_BYTES_MAX).decode("utf-8", "replace")
    try:
        said = json.loads(text)["error"]
        message = str(said["message"] if isinstance(said, dict) else said)
    except (ValueError, KeyError, TypeError, RecursionError):
        message = text[:500]
    if error.code == 401:
        message += f" (set {KEY} to a key of this server)"
    return Refusal(error.code, "refused", f"{error.code}: {message}")
