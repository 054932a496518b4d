"""What the benchmarks share: nginx, the appliance, wrk, and how a process' CPU is read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from compiled import ROOT, compiled

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CHAT_REPLY = json.dumps(
    {
        "id": "chatcmpl-9f8e7d6c5b4a",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A benchmark answer. " * 35},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 180, "completion_tokens": 140, "total_tokens": 320},
    }
)
CHAT_REQUEST = json.dumps(
    {
        "model": "gpt-4o-mini",
        "temperature": 0.2,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 12},
            {"role": "user", "content": "Explain, please, how a benchmark is done. " * 14},
        ],
    }
)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_port(port: int, limit_s: float = 20) -> None:
    """Until something listens."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit(f"nothing listens on {port}")


def own_us(pid: int) -> float:
    """CPU time of a process with all its threads, without its helpers, in microseconds."""
    return sum(int(field) for field in _stat(pid)[11:13]) / TICKS_PER_S * 1e6


def cpu_us(pid: int) -> float:
    """CPU time of a process with all its threads and of its helper processes, those that have ended
    too, in microseconds."""
    fields = _stat(pid)
    total = sum(int(field) for field in fields[11:15])
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError):  # it has just ended: counted with its parent from now on
                total += sum(int(field) for field in _stat(int(child))[11:15])
    return total / TICKS_PER_S * 1e6


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def quiet(pid: int, *, for_s: float = 1.0, limit_s: float = 60.0, busy_us: float = 10_000) -> float:
    """Waits until the process has had nothing to do for a while; how long ago it had. What the disk
    and the database still owe to a round belongs to its figures."""
    began_s = ended_s = time.monotonic()
    before = cpu_us(pid)
    while time.monotonic() < min(ended_s + for_s, began_s + limit_s):
        time.sleep(0.1)
        now = cpu_us(pid)
        if now - before > busy_us:
            ended_s = time.monotonic()
        before = now
    return ended_s - began_s


def resident_mb(pid: int) -> float:
    """Resident memory in millions of bytes, as the goals are."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


@dataclass
class Running:
    """A started process and where it listens."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_nginx(
    folder: Path,
    *,
    proxy_to: str | None = None,
    tls: tuple[Path, Path] | None = None,
    reply: str = CHAT_REPLY,
) -> Running:
    """nginx with one worker: a fixed reply, or a proxy_pass to the URL `proxy_to`."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    if proxy_to is None:
        upstream, place = "", f"default_type application/json; return 200 '{reply}';"
    else:
        scheme, _, address = proxy_to.partition("://")
        upstream = (
            f"upstream up {{ server {address}; keepalive 64; keepalive_requests 100000000; }}"
        )
        place = (
            f"proxy_pass {scheme}://up; proxy_http_version 1.1; proxy_set_header Connection '';"
            " proxy_buffering off;"
        )
    listen = f"listen 127.0.0.1:{port} backlog=4096"
    if tls:
        listen += f" ssl; ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}"
    conf = folder / "nginx.conf"
    conf.write_text(
        f"worker_processes 1; daemon off; error_log {folder}/error.log; pid {folder}/pid;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; tcp_nodelay on;\n"
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;"
        f" fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"{upstream}\nserver {{ {listen}; location / {{ {place} }} }} }}\n"
    )
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen(
        [nginx, "-c", str(conf), "-p", str(folder)], stderr=subprocess.DEVNULL
    )
    wait_port(port)
    return Running(process, f"{'https' if tls else 'http'}://127.0.0.1:{port}")


def certificate(folder: Path) -> tuple[tuple[Path, Path], Path]:
    """Certificate and key for 127.0.0.1, and the authority behind them."""
    sys.path.insert(0, str(ROOT))
    from tests.certificates import Authority

    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority()
    path = folder / "authority.pem"
    path.write_bytes(authority.certificate)
    return authority.issue("127.0.0.1").write(folder, "upstream"), path


def nginx_worker(pid: int) -> int:
    """The worker of an nginx master: the process that does the work."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def program(*, plain: bool) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the program: as the wheel has it, compiled, or the sources."""
    tree = ROOT if plain else compiled()
    return [sys.executable, "-P", "-m", "appliance.cli"], {**os.environ, "PYTHONPATH": str(tree)}


def start_appliance(
    folder: Path,
    upstream_url: str,
    *options: str,
    plain: bool = False,
    data: Path | None = None,
    provider: str = "",
    top: str = "",
    port: int = 0,
) -> Running:
    """`helicone-appliance serve`, its OpenAI row pointed at `upstream_url`; `top` is more
    of its configuration. With a `port` of the caller's it is not waited for."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    conf = folder / "bench.toml"
    conf.write_text(f'{top}[providers.openai]\nbase_url = "{upstream_url}"\n{provider}')
    command, environ = program(plain=plain)
    process = subprocess.Popen(
        [
            *command, "serve", "--port", str(port), "--config", str(conf), "--data-dir",
            str(data or folder / "data"), "--ready-file", str(ready), *options,
        ],
        stdout=subprocess.DEVNULL, cwd=folder, env=environ,
    )  # fmt: skip
    if port:
        return Running(process, f"http://127.0.0.1:{port}")
    until = time.monotonic() + 30
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("the appliance did not start")
        time.sleep(0.005)
    return Running(process, json.loads(ready.read_text())["url"])


# wrk's own report rounds, so the script tells the figures: microseconds, and counts.
LUA = """
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-provider-0123456789abcdef"
%s
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("FIGURES %%d %%d %%f %%f %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
# Of 500 callers, each with a head of its own.
DIFFERING = """
local heads = {}
for number = 1, 500 do
  local headers = {}
  for name, value in pairs(wrk.headers) do headers[name] = value end
  headers["Helicone-User-Id"] = "user-" .. number
  headers["Helicone-Property-Tenant"] = "tenant-" .. number % 37
  headers["Helicone-Session-Id"] = "session-" .. number * 7919
  headers["traceparent"] = string.format("00-%032x-%016x-01", number * 7919, number)
  heads[number] = headers
end
local number = 0
request = function()
  number = number % 500 + 1
  return wrk.format(nil, nil, heads[number])
end
"""


@dataclass
class Load:
    """What wrk reported."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def run_wrk(
    folder: Path,
    url: str,
    *,
    connections: int,
    seconds: float,
    headers: dict[str, str],
    differing: bool = False,
    body: str = CHAT_REQUEST,
    pause_ms: float = 0,
) -> Load:
    """One round of wrk, one thread. `differing`: no two heads in a row are the same. `pause_ms`:
    how long a connection rests before each request."""
    script = folder / "post.lua"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    if pause_ms:
        lines += f"\nfunction delay() return {pause_ms:.0f} end"
    script.write_text(LUA % (body, lines + (DIFFERING if differing else "")))
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), url],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    _, _, figures = out.rpartition("FIGURES ")
    requests, took_us, p50_us, p99_us, errors = map(float, figures.split())
    return Load(int(requests), requests / took_us * 1e6, p50_us / 1000, p99_us / 1000, int(errors))
