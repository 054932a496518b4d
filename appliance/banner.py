"""The few lines printed when the server is ready: where it listens, where its data lies, and lines
to copy for the OpenAI SDK, the Anthropic SDK and curl.
"""

import os
import shlex

from appliance import __version__
from appliance.config import Config

UNIT_VARIABLE = "INVOCATION_ID"  # systemd.exec(5)
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared only


def server_url(config: Config, port: int) -> str:
    """The URL that clients are to use."""
    return config.public_url or local_url(config, port)


def local_url(config: Config, port: int) -> str:
    """The URL under which this machine reaches it. `port` is the one that was bound."""
    host = WILDCARDS.get(config.host, config.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{'https' if config.tls_cert else 'http'}://{host}:{port}"


def banner(config: Config, url: str, sign_in: str = "") -> str:
    """Everything to print, with its last line end. `sign_in`: the path of a one-time link."""
    openai, anthropic = f"{url}/v1/gateway/oai/v1", f"{url}/v1/gateway/anthropic"
    keys = config.access == "keys"
    python_auth = (
        ', default_headers={"Helicone-Auth": "Bearer " + HELICONE_API_KEY}' if keys else ""
    )
    curl_auth = '-H "Helicone-Auth: Bearer $HELICONE_API_KEY" ' if keys else ""
    lines = [
        f"helicone-appliance {__version__} listens on {url}{_further(config)}",
        f"data: {config.data_dir}",
        "",
        f'OpenAI SDK     OpenAI(base_url="{openai}"{python_auth})',
        f'Anthropic SDK  Anthropic(base_url="{anthropic}"{python_auth})',
        f"curl           curl {openai}/chat/completions {curl_auth}"
        '-H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" '
        """-d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'""",
        "",
        f"look at it     {url}/",
        f"ask it         {command_line(config)}",
    ]
    if sign_in:
        lines.append(f"sign in        {url}{sign_in}  (once, within 15 minutes)")
    if keys:
        lines.append("a key          helicone-appliance keys create NAME" + _data_dir(config))
    lines += [f"warning: {warning}" for warning in config.warnings]
    return "\n".join(lines) + "\n"


def _further(config: Config) -> str:
    """Where else it can be reached than the URL says."""
    if config.public_url is not None:
        return f" ({config.host}:{config.port} here)" if config.port else ""
    return " (all addresses of this machine)" if config.host in WILDCARDS else ""


def command_line(config: Config) -> str:
    """A first question, as it would be typed."""
    sql = "select model, count(*), sum(cost_usd) from requests group by 1"
    return f'helicone-appliance query "{sql}"{_data_dir(config)}'


def _data_dir(config: Config) -> str:
    """Said only where another command would not find the directory by itself. The environment of a
    unit of systemd is not that of a shell."""
    source = config.sources.get("data_dir")
    shared = source is not None and source.startswith("HELICONE_APPLIANCE_")
    if source is None or (shared and UNIT_VARIABLE not in os.environ):
        return ""
    return f" --data-dir {shlex.quote(str(config.data_dir))}"
