"""What the benchmarks share: nginx, the appliance, wrk, and how a process' CPU is read."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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


def cpu_us(pid: int) -> float:
    """CPU time of a process with all its threads, in microseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S * 1e6


def resident_mb(pid: int) -> float:
    """Resident memory in MiB."""
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    )


@dataclass
class Running:
    """A started process and where it listens."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_nginx(
    folder: Path, *, proxy_to: int | None = None, tls: tuple[Path, Path] | None = None
) -> Running:
    """nginx with one worker: a fixed chat reply, or a proxy_pass to `proxy_to`."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    if proxy_to is None:
        upstream, place = "", f"default_type application/json; return 200 '{CHAT_REPLY}';"
    else:
        upstream = f"upstream up {{ server 127.0.0.1:{proxy_to}; keepalive 64; }}"
        place = (
            "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection '';"
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


def nginx_worker(pid: int) -> int:
    """The worker of an nginx master: the process that does the work."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def start_appliance(folder: Path, upstream_url: str, *options: str) -> Running:
    """`helicone-appliance serve` on a free port, its OpenAI row pointed at `upstream_url`."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    conf = folder / "bench.toml"
    conf.write_text(f'[providers.openai]\nbase_url = "{upstream_url}"\n')
    process = subprocess.Popen(
        [
            sys.executable, "-m", "appliance.cli", "serve", "--port", "0", "--config", str(conf),
            "--data-dir", str(folder / "data"), "--ready-file", str(ready), *options,
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 30
    while not ready.exists() or not ready.read_text().strip():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("the appliance did not start")
        time.sleep(0.005)
    return Running(process, json.loads(ready.read_text())["url"])


LUA = """
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-provider-0123456789abcdef"
%s
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
    folder: Path, url: str, *, connections: int, seconds: float, headers: dict[str, str]
) -> Load:
    """One round of wrk, one thread."""
    script = folder / "post.lua"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    script.write_text(LUA % (CHAT_REQUEST, lines))
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(script), url],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    errors = sum(
        int(n)
        for n in re.findall(
            r"(?:Non-2xx or 3xx responses: |read |write |timeout |connect )(\d+)", out
        )
    )
    return Load(
        int(re.search(r"(\d+) requests in", out)[1]),  # type: ignore[index]
        float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),  # type: ignore[index]
        milliseconds(re.search(r"50%\s+(\S+)", out)[1]),  # type: ignore[index]
        milliseconds(re.search(r"99%\s+(\S+)", out)[1]),  # type: ignore[index]
        errors,
    )


def milliseconds(text: str) -> float:
    """wrk's `1.23ms`, `456.00us`, `1.20s`."""
    if not re.fullmatch(r"([\d.]+)(us|ms|s)", text):
        print("odd figure from wrk:", text)
        return 0.0
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
