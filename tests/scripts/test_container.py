"""What can be told of the image without building it: its recipe, its list of parts, the examples of
the manual, and what scripts/container-test shows upgrades with."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from appliance import __version__
from appliance.config import load_config
from storage.state import MIGRATIONS, State, StateTooNew
from tests.compiled.by_path import ROOT

sys.path.insert(0, str(ROOT / "build"))
sys.path.insert(0, str(ROOT / "scripts"))

import container_engine
import image
import locked
import older_state
import sbom
import system_packages

RECIPE = (ROOT / "build" / "Containerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "ui" / "manual" / "container.md").read_text(encoding="utf-8")
MOMENT_S = 1_750_000_000
CONTENTS = """\
helicone-appliance 0.1.0
trio {trio}
Python 3.11.2
libssl3 3.0.17-1~deb12u2 (Debian 12)
"""


def instructions() -> list[tuple[str, str]]:
    """Of all stages: word and the rest, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", RECIPE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, " ".join(rest.split())) for word, _, rest in
            (line.partition(" ") for line in text.splitlines() if line.strip())]  # fmt: skip


def last_stage() -> dict[str, list[str]]:
    """By word, what stands behind the last FROM."""
    found: dict[str, list[str]] = {}
    for word, rest in instructions():
        if word == "FROM":
            found.clear()
        found.setdefault(word, []).append(rest)
    return found


def variables() -> dict[str, str]:
    """What the image sets."""
    [line] = last_stage()["ENV"]
    return dict(pair.split("=", 1) for pair in line.split())


def test_the_last_stage_has_nothing_but_what_was_laid_out() -> None:
    stage = last_stage()
    assert stage["FROM"] == ["scratch"]
    assert "RUN" not in stage
    assert "ADD" not in stage
    assert all(rest.startswith("--from=build ") for rest in stage["COPY"])
    assert stage["USER"] == [f"{image.USER}:{image.USER}"]
    assert stage["VOLUME"] == ["/data"]
    assert stage["EXPOSE"] == ["8585"]
    assert "HEALTHCHECK" in stage
    program = f"/{image.PLACE}/helicone-appliance"
    assert json.loads(stage["ENTRYPOINT"][0]) == [program]
    [health] = stage["HEALTHCHECK"]
    assert json.loads(health.partition("CMD ")[2]) == [program, "healthcheck"]
    assert variables()["PATH"] == f"/{image.PLACE}"


def test_no_line_names_a_processor_or_has_a_secret() -> None:
    assert not re.search(r"x86|amd64|aarch64|arm64|linux-gnu", re.sub("#.*", "", RECIPE))
    assert not re.search(r"(?i)password|secret|token|_key|credential", RECIPE)


def test_options_of_the_image_are_known_and_ask_for_keys() -> None:
    own = {name: value for name, value in variables().items() if name.startswith("HELICONE")}
    config = load_config({}, own)
    assert (config.host, config.port, config.access) == ("0.0.0.0", 8585, "keys")
    assert config.data_dir == Path("/data")
    assert config.grace_s < 10, "docker stop kills after ten seconds"


def test_labels_say_what_the_project_says() -> None:
    given = dict(rest.partition("=")[::2] for word, rest in instructions() if word == "ARG")
    assert given["VERSION"] == __version__
    [labels] = last_stage()["LABEL"]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in ("description", "license"):
        said = re.search(rf'^{name} = "(.+)"', text, re.MULTILINE)
        assert said is not None
        assert f'"{said[1]}"' in labels


def test_what_is_locked_is_installed_by_its_hashes() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert [rest for rest in runs if "pip install" in rest and "--require-hashes" in rest]
    assert all("--require-hashes" in rest for rest in runs if "pip install" in rest)


def test_what_is_left_out_is_of_the_tools_alone() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    before, after = (sbom.LOCKED.findall(text) for text in (lock, locked.kept(lock)))
    names = {sbom.normal(name) for name, _ in before} - {sbom.normal(name) for name, _ in after}
    assert names == set(locked.LEFT_OUT)
    assert lock.count("--hash=") > locked.kept(lock).count("--hash=") > 500
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {sbom.normal(re.split("[<>=]", text)[0]) for text in own["dependencies"]}
    for name in wanted | {"mypy", "pyinstaller", "hatchling", "setuptools"}:
        assert name in {sbom.normal(name) for name, _ in after}


@pytest.mark.parametrize(
    "needed",
    ["appliance/cli.py", "build/image.py", "scripts/binary.py", "storage/state.py",
     "ui/package-lock.json", "ui/web/main.js", "pyproject.toml", "requirements.lock"],
)  # fmt: skip
def test_the_context_has_what_the_recipe_needs(needed: str) -> None:
    assert (ROOT / needed).is_file()
    assert not ignored(needed)


@pytest.mark.parametrize(
    "path",
    [".git/config", ".venv/bin/python", "ui/node_modules/x/y.js", "ui/built/index.html",
     "data/state.sqlite", "dist/x", ".container/store/x", "tests/conftest.py", ".env"],
)  # fmt: skip
def test_the_context_has_nothing_else(path: str) -> None:
    """Least of all what depends on the machine."""
    assert ignored(path)


def ignored(path: str) -> bool:
    """As Docker reads .dockerignore: the last line that fits decides, for folders above too."""
    found = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            parts = Path(path).parts
            above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
            if any(fnmatch(one, line.lstrip("!")) for one in above):
                found = not line.startswith("!")
    return found


# -- the list of parts


def listed() -> dict[str, Any]:
    locked = dict(sbom.pypi_locked())
    return sbom.document(CONTENTS.format(trio=locked["trio"]), MOMENT_S)


def test_every_locked_package_is_listed_once() -> None:
    found = {(part["purl"].partition("@")[0], part["version"]) for part in listed()["components"]}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    names = [line.split()[0].split("==") for line in lock.splitlines() if re.match(r"\w", line)]
    assert len(names) > 50
    for name, version in names:
        assert (f"pkg:pypi/{sbom.normal(name)}", version) in found, name
    packages = dict(sbom.npm_locked())
    assert {"preact", "@esbuild/linux-arm64", "swagger-ui-dist"} <= packages.keys()
    for name, entry in packages.items():
        assert (f"pkg:npm/{name.replace('@', '%40')}", entry["version"]) in found, name
    purls = [part["purl"] for part in listed()["components"]]
    assert len(purls) == len(set(purls)) == len(names) + len(packages) + 2


def test_what_is_in_is_told_from_what_builds_it() -> None:
    scopes = {part["name"]: part["scope"] for part in listed()["components"]}
    for name in ("trio", "preact", "swagger-ui-dist", "libssl3", "Python"):
        assert scopes[name] == "required", name
    for name in ("mypy", "esbuild", "@scarf/scarf"):
        assert scopes[name] == "excluded", name
    [system] = [part for part in listed()["components"] if part["name"] == "libssl3"]
    assert system["purl"] == "pkg:deb/debian/libssl3@3.0.17-1~deb12u2?distro=debian-12"


def test_it_is_the_same_for_the_same_build() -> None:
    assert listed() == listed()
    assert listed()["metadata"]["timestamp"] == "2025-06-15T15:06:40Z"
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", listed()["serialNumber"])


def test_what_no_lock_has_is_refused() -> None:
    with pytest.raises(SystemExit, match="in the lock: leftpad, trio"):
        sbom.document("trio 0.0.1\nleftpad 1.0\n", MOMENT_S)


def test_a_package_of_the_system_stands_as_it_is_read_again() -> None:
    text = str(system_packages.Package("libc6", "2.36-9+deb12u10", "Debian 12"))
    assert list(sbom._told(text)) == [("libc6", "2.36-9+deb12u10", "Debian 12")]
    assert system_packages.owners(["/work/none", str(ROOT)]) == []


# -- the layout


def test_libraries_of_the_system_are_read_from_what_the_loader_says() -> None:
    said = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/some-linux/libm.so.6 (0x00007f01)\n"
        "\tlibz.so.1 => /dist/a/_internal/libz.so.1 (0x00007f01)\n\t/lib64/ld.so.2 (0x00007f02)\n"
    )
    assert [path for _, path in image.LOADED.findall(said)] == [
        "/lib/some-linux/libm.so.6", "/dist/a/_internal/libz.so.1", "/lib64/ld.so.2",
    ]  # fmt: skip


def test_everything_is_dated(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    image.date(tmp_path, MOMENT_S)
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert path.lstat().st_mtime == MOMENT_S, path


# -- upgrades


def test_an_older_state_store_is_brought_forward(tmp_path: Path) -> None:
    path, key = tmp_path / "state.sqlite", "sk-helicone-aaaaaaa-bbbbbbb"
    assert older_state.make(path, key) == len(MIGRATIONS) - 2
    state = State.open(path)
    assert [row.name for row in state.api_keys()] == ["older"]
    state.close()
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    connection.close()
    assert names == {step.__name__ for step in MIGRATIONS}
    older_state.mark_later(path)
    with pytest.raises(StateTooNew, match="m999_later"):
        State.open(path)
    with pytest.raises(FileExistsError):
        older_state.make(path, key)


# -- the manual


def boxes(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def documents() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return [item for text in boxes("yaml") for item in yaml.safe_load_all(text)]


def test_examples_are_what_composes_and_clusters_read() -> None:
    compose, service, stateful = documents()
    [container] = compose["services"].values()
    assert container["build"]["dockerfile"] == "build/Containerfile"
    assert container["read_only"]
    assert set(compose["volumes"]) == {line.split(":")[0] for line in container["volumes"]}
    assert set(container["secrets"]) == set(compose["secrets"])
    assert (service["kind"], stateful["kind"]) == ("Service", "StatefulSet")
    pod = stateful["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert stateful["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert stateful["spec"]["replicas"] == 1
    assert pod["spec"]["securityContext"]["runAsUser"] == image.USER
    [container] = pod["spec"]["containers"]
    claims = {item["metadata"]["name"] for item in stateful["spec"]["volumeClaimTemplates"]}
    volumes = {item["name"] for item in pod["spec"]["volumes"]} | claims
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    [port] = container["ports"]
    assert port["containerPort"] == 8585
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe].get("httpGet") or container[probe]["tcpSocket"]
        assert asked["port"] == port["name"]


def test_options_in_examples_are_known(tmp_path: Path) -> None:
    secret = tmp_path / "master_key"
    secret.write_text("00" * 32)
    compose, _, stateful = documents()
    [container] = stateful["spec"]["template"]["spec"]["containers"]
    in_cluster = {item["name"]: item["value"] for item in container["env"]}
    for given in (compose["services"]["helicone"]["environment"], in_cluster):
        environ = {name: str(secret) if name.endswith("_FILE") else value
                   for name, value in given.items()}  # fmt: skip
        config = load_config({}, environ | {"HELICONE_APPLIANCE_DATA_DIR": str(tmp_path)})
        assert config.master_key
    grace_s = load_config({}, {"HELICONE_APPLIANCE_GRACE_S": in_cluster[
        "HELICONE_APPLIANCE_GRACE_S"]}).grace_s  # fmt: skip
    assert grace_s < stateful["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_the_engine_is_set_up_as_it_must_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store is its own: nobody else's images are seen, and none is left elsewhere."""
    monkeypatch.setattr(container_engine, "PLACE", tmp_path / "place")
    engine = container_engine.Engine(container_engine.native())
    given = [word for word in engine._podman if word.startswith(str(tmp_path))]
    assert len(given) == 4
    assert 'runtime = "runc"' in (tmp_path / "place" / "containers.conf").read_text()
    assert os.access(ROOT / "scripts" / "container-test", os.X_OK)
