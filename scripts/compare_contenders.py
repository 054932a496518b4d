"""Who is compared: how each is installed, started and asked, and what of it is on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench_rig import (
    CHAT_REPLY,
    CHAT_REQUEST,
    Running,
    free_port,
    start_appliance,
    start_nginx,
    wait_port,
)

DIRECT = "/v1/chat/completions"
OURS = "/v1/gateway/oai/v1/chat/completions"
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
MASTER = "sk-0123456789abcdef"
PROVIDER_KEY = "sk-provider-0123456789abcdef"
START_S = 300.0  # a Python program of that size takes its time on a busy machine
LITELLM = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {upstream}/v1
      api_key: {key}
litellm_settings:
  set_verbose: false
  drop_params: true
general_settings:
  master_key: {master}
"""


@dataclass(frozen=True)
class Contender:
    """`headers` go with each request; `on` is told beside the figures."""

    name: str
    version: str
    on: str
    url: str
    server: Running
    headers: dict[str, str] = field(default_factory=dict)


Start = Callable[[Path, Path, str], Contender]


def nginx(_tools: Path, folder: Path, upstream: str) -> Contender:
    """The floor: bytes passed on, and nothing else."""
    server = start_nginx(folder, proxy_to=upstream)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    version = told.strip().rpartition("/")[2]
    on = "`proxy_pass`, one worker, no log"
    return Contender("nginx", version, on, server.url + DIRECT, server)


def appliance(_tools: Path, folder: Path, upstream: str, *, plain: bool = False) -> Contender:
    """Everything on that a call can have. `plain`: the sources as they are, not compiled."""
    environ, os.environ["HELICONE_APPLIANCE_BOOTSTRAP_KEY"] = dict(os.environ), KEY
    try:
        server = start_appliance(folder, upstream, top='access = "keys"\n', plain=plain)
    finally:
        os.environ.clear()
        os.environ.update(environ)
    headers = {
        "Helicone-Auth": f"Bearer {KEY}",
        "Helicone-User-Id": "user-17",
        "Helicone-Property-Tenant": "acme",
        "Helicone-RateLimit-Policy": "1000000000;w=3600;s=user",
    }
    on = "a key checked, a rate limit, both bodies in a durable log, rows with tokens and cost"
    version = version_of_ours() + (", not compiled" if plain else "")
    return Contender("helicone-appliance", version, on, server.url + OURS, server, headers)


def litellm(tools: Path, folder: Path, upstream: str) -> Contender:
    """One process, as the others."""
    return _litellm(tools, folder, upstream, "LiteLLM proxy", 1)


def litellm_workers(tools: Path, folder: Path, upstream: str) -> Contender:
    """As its guide to production has it: a worker for each processor."""
    return _litellm(tools, folder, upstream, "LiteLLM proxy, a worker a core", os.cpu_count() or 1)


def _litellm(tools: Path, folder: Path, upstream: str, name: str, workers: int) -> Contender:
    folder.mkdir(parents=True, exist_ok=True)
    config, port = folder / "config.yaml", free_port()
    config.write_text(LITELLM.format(upstream=upstream, key=PROVIDER_KEY, master=MASTER))
    place = tools / "litellm" / "bin"
    environ = {
        **os.environ, "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": "", "LITELLM_TELEMETRY": "False",
        "PATH": f"{place}:{os.environ['PATH']}",
    }  # fmt: skip
    server = started(
        [str(place / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port",
         str(port), "--num_workers", str(workers), "--telemetry", "False",
         # Its other server takes a worker that starts slowly for dead, and starts it again.
         *(["--run_gunicorn"] if workers > 1 else [])],
        folder, port, environ,
    )  # fmt: skip
    version = _python_version(place, "litellm")
    on = f"{workers} worker{'s' * (workers > 1)}, its key checked; no log, no limits, no database"
    headers = {"Authorization": f"Bearer {MASTER}"}
    return Contender(name, version, on, server.url + DIRECT, server, headers)


def portkey(tools: Path, folder: Path, upstream: str) -> Contender:
    """Its open-source gateway for Node."""
    place = tools / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    server = started(
        ["node", str(place / "build" / "start-server.js"), f"--port={port}", "--headless"],
        folder, port, environ,
    )  # fmt: skip
    version = str(json.loads((place / "package.json").read_text())["version"])
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"}
    on = "one process; no log, no limits, no keys of its own"
    return Contender("Portkey gateway", version, on, server.url + DIRECT, server, headers)


def mitmproxy(tools: Path, folder: Path, upstream: str) -> Contender:
    """A reverse proxy that writes what it sees to a file."""
    place, port = tools / "mitmproxy" / "bin", free_port()
    folder.mkdir(parents=True, exist_ok=True)
    server = started(
        [str(place / "mitmdump"), "--mode", f"reverse:{upstream}", "--listen-host", "127.0.0.1",
         "--listen-port", str(port), "--quiet", "--set", f"confdir={folder}", "--set",
         "stream_large_bodies=1", "--set", "store_streamed_bodies=true",
         "--save-stream-file", str(folder / "flows")],
        folder, port, {**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    version = _python_version(place, "mitmproxy")
    on = "one process, bodies streamed and saved to a file (not synced); no keys, no limits"
    return Contender("mitmproxy", version, on, server.url + DIRECT, server)


ALL: dict[str, Start] = {
    "nginx": nginx, "appliance": appliance, "portkey": portkey, "mitmproxy": mitmproxy,
    "litellm": litellm, "litellm-workers": litellm_workers,
}  # fmt: skip


def install(tools: Path) -> None:
    """From PyPI and npm, each in a place of its own. Raises CalledProcessError."""
    for name, package in (("litellm", "litellm[proxy]"), ("mitmproxy", "mitmproxy")):
        place = tools / name
        if not (place / "bin" / "pip").exists():
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(place / "bin" / "pip"), "install", "-q", package], check=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
    (tools / "portkey").mkdir(parents=True, exist_ok=True)
    subprocess.run([*command, str(tools / "portkey"), "@portkey-ai/gateway"], check=True)


def started(command: list[str], folder: Path, port: int, environ: dict[str, str]) -> Running:
    """A process that listens. Raises SystemExit with where its log lies."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
        )
    server = Running(process, f"http://127.0.0.1:{port}")
    try:
        wait_port(port, START_S)
    except SystemExit as error:
        server.stop()
        raise SystemExit(f"{error}: {(folder / 'log.txt').read_text()[-2000:]}") from None
    return server


def check(who: Contender) -> None:
    """It really forwards: 200, and the provider's words. Raises SystemExit."""
    headers = {
        "Authorization": f"Bearer {PROVIDER_KEY}", "Content-Type": "application/json",
        **who.headers,
    }  # fmt: skip
    request = urllib.request.Request(who.url, CHAT_REQUEST.encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        found = json.loads(reply.read())
        status = reply.status
    wanted = json.loads(CHAT_REPLY)["choices"][0]["message"]["content"]
    if status != 200 or found["choices"][0]["message"]["content"] != wanted:
        raise SystemExit(f"{who.name} does not forward: {status} {str(found)[:500]}")


def version_of_ours() -> str:
    """Of the tree that is measured."""
    import tomllib

    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["version"])


def _python_version(place: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run(
        [str(place / "python"), "-c", code], capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    return done.stdout.strip()
