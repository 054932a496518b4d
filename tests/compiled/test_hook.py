"""The build hook: what it compiles, and what becomes of the wheel where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from appliance.config import load_config
from tests import PROGRAM_PATH
from tests.compiled.by_path import ROOT, module_at

hook = module_at("build/compile.py")


def build(directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    environ = {"PATH": os.environ["PATH"], "HELICONE_APPLIANCE_COMPILE": "", **environ}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100
    )


def test_what_is_compiled_is_there_and_named_once() -> None:
    assert [path for path in hook.PATHS if not (ROOT / path).is_file()] == []
    assert len(set(hook.PATHS)) == len(hook.PATHS)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"HELICONE_APPLIANCE_COMPILE": "0"}, ""),
        ({"CC": "no-such-compiler -O2"}, "there is no C compiler (no-such-compiler)"),
    ],
)
def test_a_wheel_of_plain_sources(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    done = build(tmp_path, **environ)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "Plain Python" in line]
    assert len(warned) == bool(told)
    assert told in "".join(warned)
    [wheel] = tmp_path.glob("*-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert set(hook.PATHS) <= set(names)
    assert not [name for name in names if name.endswith(".so")]


def test_the_builds_variable_is_no_option_of_the_program() -> None:
    assert load_config({}, {hook.VARIABLE: "0"}) == load_config({}, {})


def test_a_compiler_that_must_be_there(tmp_path: Path) -> None:
    done = build(tmp_path, CC="no-such-compiler", HELICONE_APPLIANCE_COMPILE="1")
    assert done.returncode != 0
    assert "there is no C compiler" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not PROGRAM_PATH, reason="of the compiled program: scripts/test-compiled")
def test_what_is_imported_is_compiled() -> None:
    for path in hook.PATHS:
        name = path.removesuffix(".py")
        module = import_module(name.replace("/", "."))
        assert str(module.__file__) == f"{PROGRAM_PATH}/{name}{EXTENSION_SUFFIXES[0]}"
