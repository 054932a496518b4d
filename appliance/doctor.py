"""Looks for what keeps a server from working well: configuration, directories, disk, port, clock,
limits of the machine, and whether providers can be reached. Blocking; changes nothing that stays.

For whoever owns the data directory: paths are told, no secret is.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from appliance.assembly import regions_of
from appliance.banner import local_url
from appliance.config import Config
from appliance.config_kinds import show_size
from appliance.config_limits import cgroup_memory_limit, file_limit
from appliance.control_client import ControlError
from appliance.status import hints_of

State = Literal["ok", "warning", "failed"]
MIB: Final = 1 << 20
GIB: Final = 1 << 30
FREE_BYTES_MIN: Final = 256 * MIB
FREE_BYTES_SOON: Final = 2048 * MIB
SYNCS: Final = 5
SYNC_BYTES: Final = 4096
SYNC_SLOW_MS: Final = 50.0
CLOCK_OFF_S: Final = 30.0
EXPIRES_SOON_DAYS: Final = 14
# Locks and the order of writes are only as good as the server behind them.
NETWORK_FILE_SYSTEMS: Final = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "fuse.sshfs",
    "ceph",
    "glusterfs",
)


class Check(NamedTuple):
    """What was looked at, how it is, and what to do about it ("" where nothing is to be done)."""

    check: str
    state: State
    detail: str
    fix: str = ""


def examine(
    config: Config, live: Mapping[str, Any] | ControlError | None, *, offline: bool
) -> Iterator[Check]:
    """All of it, in an order that goes from the cause to what follows from it. `live` is what a
    running server says of itself, or why it did not; `offline` asks nobody else."""
    yield from _configuration(config)
    yield from _limits(config)
    for region in regions_of(config):
        yield from _directory(region, config.root(region))
    if config.tls_cert is not None:
        yield _certificate(config.tls_cert, config.tls_key)
    if isinstance(live, ControlError):
        yield Check(
            "server", "failed", f"one holds the directory and does not answer: {live}",
            "see its log, and the load of this machine; if that tells nothing, start it anew",
        )  # fmt: skip
    else:
        yield from _server(live) if live is not None else _port(config)
    yield from () if offline else _outside(config)


def _configuration(config: Config) -> Iterator[Check]:
    given = len(config.sources)
    yield Check("configuration", "ok", f"{given} option{'' if given == 1 else 's'} given")
    for warning in config.warnings:
        yield Check("configuration", "warning", warning)
    for hint in hints_of(config):
        yield Check("configuration", "warning", hint)


def _limits(config: Config) -> Iterator[Check]:
    files, wanted = file_limit(), 2 * config.connections_max
    enough = files >= wanted
    yield Check(
        "open files",
        "ok" if enough else "warning",
        f"{files} allowed, up to {wanted} for {config.connections_max} connections",
        "" if enough else "raise the limit (ulimit -n, LimitNOFILE=) or lower connections_max",
    )
    limit, total = cgroup_memory_limit(), config.memory_bytes_max
    fits = limit is None or total <= limit
    yield Check(
        "memory",
        "ok" if fits else "failed",
        f"{show_size(total)} for the server of {show_size(limit) if limit else 'no limit'}",
        "" if fits else "lower memory_bytes_max, or give the container more",
    )


def _directory(region: str, root: Path) -> Iterator[Check]:
    name = f"directory {region}"
    there = next((one for one in (root, *root.parents) if one.exists()), root)
    if not os.access(there, os.W_OK | os.X_OK):
        yield Check(name, "failed", f"{there} cannot be written to", "change its owner or mode")
        return
    if there == root and root.stat().st_mode & 0o007:
        yield Check(name, "warning", f"{root} is open to others on this machine", "chmod o= it")
    else:
        state = "is there" if there == root else "will be made"
        yield Check(name, "ok", f"{root} {state}")
    yield _space(region, there)
    kind = _file_system(there)
    if kind in NETWORK_FILE_SYSTEMS:
        yield Check(
            f"disk {region}", "warning", f"{there} is on {kind}: its locks may not hold",
            "put the data directory on a disk of this machine",
        )  # fmt: skip
    yield _syncs(region, there)


def _space(region: str, there: Path) -> Check:
    free = shutil.disk_usage(there).free
    inodes = os.statvfs(there).f_favail
    state: State = "ok"
    if free < FREE_BYTES_MIN or inodes == 0 < os.statvfs(there).f_files:
        state = "failed"
    elif free < FREE_BYTES_SOON:
        state = "warning"
    fix = "" if state == "ok" else "free some, or set retention_days or retention_bytes"
    return Check(f"disk {region}", state, f"{free / GIB:.1f} GiB free", fix)


def _file_system(there: Path) -> str:
    """Of the mount that holds it; "" where the kernel does not say."""
    best, found = -1, ""
    with suppress(OSError):
        real = str(there.resolve())
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            _, place, kind, *_ = line.split()
            place = place.replace("\\040", " ")
            inside = real == place or real.startswith(place.rstrip("/") + "/")
            if inside and len(place) > best:
                best, found = len(place), kind
    return found


def _syncs(region: str, there: Path) -> Check:
    """The middle of some: what a call waits for with durability = "strict"."""
    took_ms = []
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            for _ in range(SYNCS):
                file.write(bytes(SYNC_BYTES))
                file.flush()
                began_s = time.monotonic()
                os.fsync(file.fileno())
                took_ms.append((time.monotonic() - began_s) * 1000)
    except OSError as error:
        words = error.strerror or str(error)
        return Check(f"disk {region}", "failed", f"a file cannot be written: {words}")
    middle = statistics.median(took_ms)
    slow = middle > SYNC_SLOW_MS
    return Check(
        f"disk {region}", "warning" if slow else "ok", f"a write is on disk in {middle:.1f} ms",
        'slow: keep durability = "normal"' if slow else "",
    )  # fmt: skip


def _certificate(certificate: Path, key: Path | None) -> Check:
    from cryptography import x509  # few servers speak TLS themselves

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return Check("certificate", "failed", f"{certificate}: {error}", "give a PEM and its key")
    days = (ends - datetime.now(UTC)).total_seconds() / 86_400
    state: State = "failed" if days <= 0 else "warning" if days < EXPIRES_SOON_DAYS else "ok"
    return Check(
        "certificate", state, f"valid until {ends:%Y-%m-%d}", "" if state == "ok" else "renew it"
    )


def _server(live: Mapping[str, Any]) -> Iterator[Check]:
    uptime_s, pid = live.get("uptime_s", 0), live.get("pid", 0)
    yield Check("server", "ok", f"runs as process {pid} for {uptime_s} s")
    for part in live.get("degraded", ()):
        yield Check("server", "failed", f"{part['part']}: {part['detail']}")
    for actor in live.get("actors", ()):
        if actor["state"] != "running":
            yield Check(
                "server", "failed", f"{actor['name']} is {actor['state']}: {actor['last_error']}"
            )
    for region in live.get("regions", ()):
        lag_s = region["ingest_lag_s"]
        if lag_s > 10:
            yield Check("server", "warning", f"{region['region']}: rows are {lag_s:.0f} s behind")


def _port(config: Config) -> Iterator[Check]:
    yield Check("server", "ok", "none is running on this directory")
    if config.port == 0:
        return
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
        with closing(socket.socket(found[0][0], socket.SOCK_STREAM)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(found[0][4])
    except OSError as error:
        words = error.strerror or str(error)
        yield Check(
            "port", "failed", f"{config.host}:{config.port}: {words}",
            "stop what listens there, or set host and port",
        )  # fmt: skip
    else:
        yield Check("port", "ok", f"{local_url(config, config.port)} is free")


def _outside(config: Config) -> Iterator[Check]:
    """All providers at once; the clock by what they say."""
    from appliance.doctor_reach import reach_all  # what dials is slow to import

    began_s = time.time()
    try:
        results = reach_all(config)
    except ValueError as error:
        yield Check("providers", "failed", str(error), "mend this option or variable")
        return
    away = []
    for name, reached in results.items():
        if reached.failed:
            # One that nobody configured may not be wanted here.
            state: State = "failed" if name in config.providers else "warning"
            fix = "check name, network, proxy and firewall, or providers.NAME.base_url"
            yield Check(f"provider {name}", state, f"{reached.url}: {reached.failed}", fix)
            continue
        detail = f"{reached.url} answers in {reached.took_ms:.0f} ms"
        yield Check(f"provider {name}", "ok", detail)
        if reached.at_s is not None:
            away.append(reached.at_s - began_s)
    if away:
        off_s = statistics.median(away)
        wrong = abs(off_s) > CLOCK_OFF_S
        yield Check(
            "clock", "warning" if wrong else "ok",
            f"{abs(off_s):.0f} s {'behind' if off_s > 0 else 'ahead of'} that of the providers",
            "set it by NTP: signatures, limits and reports depend on it" if wrong else "",
        )  # fmt: skip
