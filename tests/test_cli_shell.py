"""Completions and the man page, as shells and `man` take them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import typer

from appliance.cli import PROGRAM, app, main
from appliance.cli_shell import COMPLETE
from appliance.config import Config
from appliance.config_options import options_of
from appliance.man_page import leaves, man_page, text

# What build/bundle.py leaves out of the frozen program, as far as shells' answers come near it.
DONE_WITHOUT = "pygments markdown_it readline jinja2 cffi"
TREE = typer.main.get_command(app)
GROFF = shutil.which("groff")


def printed(*words: str, capture: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 0
    return capture.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = printed("completion", shell, capture=capsys)
    assert f"{COMPLETE}=complete_{shell}" in script
    assert PROGRAM in script
    if found := shutil.which(shell):  # the shell itself has to understand it
        subprocess.run([found, "-n"], input=script, text=True, check=True, timeout=30)


@pytest.mark.parametrize("words", [("completion", "bash"), ("man",)])
def test_the_same_text_as_json(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(*words, capture=capsys)
    told = json.loads(printed(*words, "--json", capture=capsys))
    assert told["page" if words == ("man",) else "script"] + "\n" == text


def test_another_shell_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("wal", {"wallet"}),
        ("wallet top", {"top-up"}),
        ("what-if --lim", {"--limit"}),
        ("prompts ", {"list", "show", "diff", "export", "import"}),
        ("serve --strict-dura", set()),
    ],
)
def test_what_could_stand_there_without_the_program_s_weight(words: str, found: set[str]) -> None:
    """In a process of its own, as a shell asks; neither server nor database is loaded for it."""
    line = f"{PROGRAM} {words}"
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*(m for m in ('duckdb', 'fastapi', 'pyarrow', "
        "'appliance.process') if m in sys.modules), file=sys.stderr))\n"
        "from appliance.cli import main\nmain([])\n"
    )
    environ = {
        **os.environ, COMPLETE: "complete_bash", "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert set(done.stdout.split()) >= found
    assert all(one.startswith(line.split(" ")[-1]) for one in done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_the_frozen_program_does_without_is_not_asked_for(shell: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({DONE_WITHOUT.split()!r}))\n"
        "from appliance.cli import main\nmain([])\n"
    )
    environ = {
        **os.environ, COMPLETE: f"complete_{shell}", "COMP_WORDS": f"{PROGRAM} wal",
        "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": f"{PROGRAM} wal",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "wallet" in done.stdout


def test_the_man_page_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed("man", capture=capsys)
    assert page.startswith(".TH HELICONE-APPLIANCE 1 ")
    assert page.isascii()
    for path, command in leaves(TREE, ()):
        assert re.search(rf"^\.SS {re.escape(text(' '.join(path)))}[ \n]", page, re.M)
        for item in command.params:
            if path != ("serve",):
                assert text(item.opts[0]) in page or item.param_type_name == "argument"
    for name in options_of(Config):
        assert text(name.replace("_", "-")) in page or text(f"[{name}]") in page
    for line in page.splitlines():  # nothing that was told is taken for a request
        assert not line.startswith("'")
        if line.startswith("."):
            assert re.match(r"\.(TH|SH|SS|TP|PP|B|I|nf|fi|RS|RE)\b", line)


def test_words_are_no_requests() -> None:
    assert text(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert text("a\\b -x\n  é") == "a\\eb \\-x \\[u00E9]"


@pytest.mark.skipif(GROFF is None, reason="groff is not installed")
def test_groff_sets_it_without_a_warning() -> None:
    assert GROFF is not None
    done = subprocess.run(
        [GROFF, "-man", "-Tutf8", "-ww", "-P-cbou"], input=man_page(TREE), capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert "helicone-appliance what-if --limit" in " ".join(done.stdout.split())
