"""The checks of `selftest`: each asks one thing of a server and returns what it found, or raises.

They build on each other only as far as that the calls which some make are what others look for.
"""

from __future__ import annotations

import json
import pkgutil
import re
import secrets
import socket
import time
from importlib import import_module
from typing import Any, Final

from appliance.selftest_provider import COMPLETION_TOKENS, EVENTS, PROMPT_TOKENS, REPLY
from appliance.selftest_rig import Server, must

POLICY: Final = "2;w=3600;s=user"
LARGE_BYTES: Final = 300 * 1024
HQL: Final = "/v1/helicone-sql/execute"
HQL_EVERY_S: Final = 1.0  # it sees calls that are two seconds old
HQL_TRIES: Final = 20
MANUAL: Final = "/ui/manual/"
PYTESTS: Final = "appliance.pytest_plugin"  # which pytest loads, and nobody needs without it
PATHS_MIN: Final = 100
# HTTP/2's preface, and settings that say nothing (RFC 9113 3.4); the answer's first frame too.
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
SETTINGS: Final = 4
FRAME_HEAD_BYTES: Final = 9
CONNECT_S: Final = 10.0


def start(server: Server) -> str:
    """It starts with the options that it was given."""
    seconds = server.start()
    health = server.call("GET", "/healthcheck").json()
    must(health["status"] == "healthy", f"it is {health}")
    return f"it takes calls after {seconds:.2f} s"


def reply(server: Server) -> str:
    """A buffered call passes byte for byte."""
    answer = server.chat(_text())
    must(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
    must(answer.body == REPLY, "the reply is not what the provider sent")
    return f"{len(REPLY)} bytes, as the provider sent them"


def stream(server: Server) -> str:
    """A streamed one too."""
    answer = server.chat(_text(), stream=True, stream_options={"include_usage": True})
    must(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
    must(answer.body == b"".join(EVENTS), "the events are not what the provider sent")
    return f"{len(EVENTS)} events, as the provider sent them"


def limits(server: Server) -> str:
    """As many calls pass as a policy allows."""
    headers = {"Helicone-RateLimit-Policy": POLICY, "Helicone-User-Id": "selftest"}
    statuses = [server.chat(_text(), headers).status for _ in range(3)]
    must(statuses == [200, 200, 429], f"of two allowed calls three ended with {statuses}")
    return "the third of two is refused with 429"


def journal(server: Server) -> str:
    """A record for each call, before anything was derived from it."""
    from storage.frames import KIND_EXCHANGE, Position
    from storage.reader import Damage, read_frames

    damages: list[Damage] = []
    frames = read_frames(server.data, Position(0, 0), on_damage=damages.append)
    found = sum(frame.kind == KIND_EXCHANGE for frame in frames)
    must(not damages, f"damaged: {damages}")
    must(found == len(server.texts), f"{len(server.texts)} calls, {found} records")
    return f"{found} records of {found} calls"


def rows(server: Server) -> str:
    """What is derived: tokens and cost."""
    found = list(server.all_rows("requests").values())
    for row in found:
        must(row["derive_error"] is None, f"not derived: {row['derive_error']}")
        if row["http_status"] == 200:
            counted = row["prompt_tokens"], row["completion_tokens"]
            must(counted == (PROMPT_TOKENS, COMPLETION_TOKENS), f"tokens: {counted}")
            must(row["cost_usd"] is not None, f"no price of {row['model']}")
    return f"{len(found)} rows, with tokens and cost"


def bodies(server: Server) -> str:
    """What was said."""
    found = server.all_rows("bodies")
    for request_id, text in server.texts.items():
        must(text in str(found[request_id]["request"]), f"{request_id} has another request")
    return f"{len(found)} requests and their responses"


def batches(server: Server) -> str:
    """The helper process of ingest, for large backlogs: it reads what the server reads."""
    from appliance.actors.batch_helper import BatchHelper
    from appliance.actors.batch_wire import Ask
    from storage.segment import segment_numbers

    first, *_, last = [0, *segment_numbers(server.data)]
    most = 2**30
    ask = Ask((first, 0), (last + 1, 0), most, most, most, False, first, most, hurry=True)
    helper = BatchHelper(server.data, {}, None)
    try:
        gathered, batch = helper.gather(ask)
    finally:
        helper.close()
    must(not gathered.damages, f"damaged: {gathered.damages}")
    must(len(batch) == len(server.texts), f"{len(server.texts)} calls, {len(batch)} records")
    return f"{len(batch)} records read by another process"


def sandbox(server: Server) -> str:
    """SQL of users, in a process that may read nothing else."""
    asked = {"sql": "SELECT count() AS n, sum(cost) AS cost FROM request_response_rmt"}
    for _ in range(HQL_TRIES):
        found = _asked(server, asked)
        if found["n"] >= len(server.texts):
            break
        time.sleep(HQL_EVERY_S)
    must(found["n"] == len(server.texts), f"{len(server.texts)} calls, it sees {found['n']}")
    must(found["cost"] > 0, "they have cost nothing")
    answer = server.call("POST", HQL, {"sql": "SELECT * FROM read_text('/etc/passwd')"})
    must(400 <= answer.status < 500, f"it may read files: {answer.status}")
    return f"{found['n']} calls; files are refused with {answer.status}"


def _asked(server: Server, asked: dict[str, str]) -> dict[str, Any]:
    answer = server.call("POST", HQL, asked)
    must(answer.status == 200, f"status {answer.status}: {answer.body[:300]!r}")
    row: dict[str, Any] = answer.json()["data"]["rows"][0]
    return row


def pages(server: Server) -> str:
    """Every file that the page names, and every page of the manual."""
    index = server.call("GET", "/requests", headers={"Accept": "text/html"})
    must(index.status == 200, f"no pages: {index.body[:200]!r}")
    named = set(re.findall(r'(?:src|href)="(/ui/[^"]+)"', index.body.decode()))
    contents = server.call("GET", MANUAL + "contents.md").body.decode()
    manual = {MANUAL + name for name in re.findall(r"\(([a-z-]+\.md)", contents)}
    must(len(named) > 5, "the page names no files")
    must(len(manual) > 10, "the manual has no pages")
    for path in sorted(named | manual | {"/docs", "/docs/swagger-ui-bundle.js"}):
        answer = server.call("GET", path)
        must(answer.status == 200 and answer.body, f"{path}: {answer.status}")
    return f"{len(named)} files, {len(manual)} pages of the manual"


def rest(server: Server) -> str:
    """The REST API, with its description."""
    paths = server.call("GET", "/download/swagger.json").json()["paths"]
    must(len(paths) >= PATHS_MIN, f"only {len(paths)} paths are described")
    asked = {"filter": "all", "offset": 0, "limit": 100}
    answer = server.call("POST", "/v1/request/query-clickhouse", asked)
    must(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
    found = {row["request_id"] for row in answer.json()["data"]}
    must(found == server.texts.keys(), f"{len(server.texts)} calls, it lists {len(found)}")
    return f"{len(paths)} paths; it lists {len(found)} calls"


def killed(server: Server) -> str:
    """Killed right after a reply was received whole, it has that call too, once."""
    answer = server.chat(_text() + secrets.token_hex(LARGE_BYTES // 2))
    server.kill()
    must(answer.body == REPLY, "the reply is not what the provider sent")
    seconds = server.start()
    found = server.all_rows("requests")
    return f"all {len(found)} calls are there, once; up again after {seconds:.2f} s"


def parquet(server: Server) -> str:
    """The helper process of the lake, which holds PyArrow so that the server need not."""
    rolled = server.value("roll")
    must(rolled.get("ok") and rolled.get("segments"), f"nothing was moved: {rolled}")
    files = sorted(server.data.glob("lake/**/*.parquet"))
    must(files, "no Parquet in the lake")
    must(all(path.read_bytes()[:4] in (b"PAR1", b"PARE") for path in files), "no Parquet files")
    found = server.all_rows("requests")
    return f"{len(found)} calls in {len(files)} files"


def verify(server: Server) -> str:
    """The books: journal, lake, bodies and rows."""
    found = server.value("verify")
    must(found.get("ok"), f"found: {found.get('findings')}")
    return "journal, lake, bodies and rows agree"


def stop(server: Server) -> str:
    """SIGTERM ends it, and it was content throughout."""
    began_s = time.monotonic()
    server.stop()
    return f"within {time.monotonic() - began_s:.2f} s"


def offline(server: Server) -> str:
    """Without a server commands read the directory themselves."""
    sql = "select count(*) as n, count(distinct request_id) as ids from requests"
    [found] = json.loads(server.run("query", sql, "--format", "json"))
    wanted = len(server.texts)
    must(found == {"n": wanted, "ids": wanted}, f"{wanted} calls, it sees {found}")
    server.run("verify", "--json")
    return f"{wanted} calls; the books agree"


def unreadable(server: Server) -> str:
    """No text of a call lies there as it is."""
    texts = [text[:40].encode() for text in server.texts.values()]
    files = [path for path in server.data.rglob("*") if path.is_file()]
    for path in files:
        if path.suffix != ".duckdb":  # open, and not there when it is encrypted
            data = path.read_bytes()
            must(not any(text in data for text in texts), f"{path.name} can be read")
    return f"{len(files)} files"


def http2(server: Server) -> str:
    """It is offered over TLS, and spoken."""
    assert server.trusted is not None, "it speaks TLS"
    server.trusted.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(server.address, CONNECT_S) as plain,
        server.trusted.wrap_socket(plain, server_hostname=server.address[0]) as made,
    ):
        must(made.selected_alpn_protocol() == "h2", "it is not offered")
        made.sendall(PREFACE)
        head = made.recv(FRAME_HEAD_BYTES)
    server.trusted.set_alpn_protocols(["http/1.1"])
    must(head[3:4] == bytes([SETTINGS]), f"it answers {head!r}")
    return "offered and spoken"


def modules() -> str:
    """Every part of the program is there, with what it imports."""
    found, failed = 0, []
    for package in ("appliance", "storage"):
        place = import_module(package).__path__
        for module in pkgutil.walk_packages(place, f"{package}."):
            if module.name == PYTESTS:
                continue
            found += 1
            try:
                import_module(module.name)
            except Exception as error:  # a compiled one may raise anything
                failed.append(f"{module.name}: {error}")
    must(not failed, "; ".join(failed))
    must(found > PATHS_MIN, f"only {found} are there")
    return f"all {found} of them"


def _text() -> str:
    return f"selftest {secrets.token_hex(16)} "
