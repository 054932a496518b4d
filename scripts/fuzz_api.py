"""Schemathesis over the API of a real server, as every kind of caller: no 5xx, and no answer that
is not as /download/swagger.json says. `scripts/fuzz-api --help` tells the rest.

Schemathesis is no dependency of this project: it brings some twenty-five packages along. Install it
beside (`pipx install "schemathesis>=4,<5"`); it is looked for on the path, or named in HELICONE_ST.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fuzz_seed import Gardener, configuration

from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

CONFIG = (
    'access = "keys"\nadmin_key = "{admin}"\nstripe_webhook_secret = "whsec_0123456789abcdef"\n'
    'webhook_allow = ["127.0.0.1"]\n'
)
ADMIN = "an-administrators-key"
ELSEWHERE = "elsewhere"
NAMES = "planted.toml"
PASSWORD = "correct horse battery"
ROLES = ("owner", "admin", "member", "viewer")
CALLERS = ("nobody", "admin_key", "key rw", "key w", "key r", *ROLES, "stranger")
CHECKS = (
    "not_a_server_error,response_schema_conformance,status_code_conformance,"
    "content_type_conformance"
)
# It would sign its own caller out; and there are no customers, which is a 501.
LEFT_OUT = (
    "/v1/auth/sign-out", "/v1/customer/query", "/v1/customer/{customer_id}/usage/query",
)  # fmt: skip


def callers(appliance: Appliance, key: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Names and headers: nobody, each kind of key, each role, a member of another organisation,
    the administrator."""
    yield "nobody", {}
    yield "admin_key", {"Authorization": f"Bearer {ADMIN}"}
    yield "key rw", {"Authorization": f"Bearer {key}"}
    writer = appliance.command("keys.create", name="fuzz w", write_only=True)["key"]
    yield "key w", {"Authorization": f"Bearer {writer}"}
    body = {"api_key_name": "fuzz r", "key_permissions": "r"}
    reply = appliance.call("/v1/api-keys", body, {"Authorization": f"Bearer {key}"})
    yield "key r", {"Authorization": f"Bearer {reply.json['apiKey']}"}
    for role in ROLES:
        yield role, signed_in(appliance, role, role)
    appliance.command("orgs.create", name=ELSEWHERE)
    yield "stranger", signed_in(appliance, "stranger", "member", org=ELSEWHERE)


def signed_in(appliance: Appliance, name: str, role: str, **more: str) -> dict[str, str]:
    """Headers of somebody who has just followed the link of the invitation."""
    made = appliance.command("users.create", email=f"{name}@example.com", role=role, **more)
    body = {"token": made["url"].partition("token=")[2], "password": PASSWORD}
    reply = appliance.call("/v1/auth/link", body, {})
    cookie = (reply.first("set-cookie") or b"").decode().partition(";")[0]
    return {"Cookie": cookie, "X-CSRF-Token": reply.json["data"]["csrf_token"]}


def run(st: str, appliance: Appliance, headers: dict[str, str], seed: int, examples: int) -> int:
    """One caller's run; its exit code."""
    command = [
        st, "--config-file", str(appliance.directory / NAMES), "run",
        f"{appliance.url}/download/swagger.json", "--checks", CHECKS,
        "--phases", "coverage,fuzzing", "-n", str(examples), "--seed", str(seed), "--no-color",
        "--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure",
    ]  # fmt: skip
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    # In its directory: it keeps notes of what it found where it is run.
    return subprocess.run(command, cwd=appliance.directory).returncode


def main() -> int:
    """The worst of the exit codes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50, help="of each endpoint (50)")
    parser.add_argument("--seed", type=int, help="the same cases again")
    parser.add_argument("--caller", choices=CALLERS, help="one of them alone")
    given = parser.parse_args()
    st = os.environ.get("HELICONE_ST") or shutil.which("schemathesis")
    if st is None:
        print('Schemathesis is missing: pipx install "schemathesis>=4,<5"', file=sys.stderr)
        return 2
    seed = given.seed if given.seed is not None else random.randrange(2**31)
    print(f"seed {seed}", flush=True)
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        config = CONFIG.format(admin=ADMIN)
        with (
            Provider() as provider,
            Appliance(Path(folder), provider, config=config) as appliance,
        ):
            key = appliance.command("keys.create", name="fuzz")["key"]
            gardener = Gardener(appliance, key, ADMIN)
            # All first: what is tried while fuzzing uses up the attempts to sign in.
            known = dict(callers(appliance, key))
            assert tuple(known) == CALLERS
            for name, headers in known.items():
                if given.caller in (None, name):
                    # Each time anew: the one before has changed and deleted.
                    names = configuration(gardener.plant())
                    (appliance.directory / NAMES).write_text(names)
                    print(f"-- as {name}", flush=True)
                    worst = max(worst, run(st, appliance, headers, seed, given.examples))
            bugs = [line for line in appliance.log.splitlines() if "Traceback" in line]
            assert not bugs, "\n".join(bugs)
    return worst


if __name__ == "__main__":
    sys.exit(main())
