"""`prompts` and `datasets`: what the REST API knows, on the command line and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import run
from tests.e2e.test_datasets import Desk
from tests.e2e.test_prompts import BODY, CHAT, api, call, made
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

ENVIRON = {"OPENAI_API_KEY": "sk-env-openai"}
OTHER = {"model": "gpt-4o", "messages": [{"role": "system", "content": "Say {{hc:name:string}}."}]}


def command(appliance: Appliance, *words: str, code: int = 0) -> Any:
    done = run(
        appliance.directory, *words, "--json", "--config", str(appliance.config),
        "--data-dir", str(appliance.data),
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout) if not code else done.stderr


def changed(appliance: Appliance) -> str:
    """A prompt of two versions, the first in production."""
    prompt_id, version_id = made(appliance)
    update = {"promptId": prompt_id, "promptVersionId": version_id, "promptBody": OTHER,
              "newMajorVersion": True, "commitMessage": "shorter",
              "environment": "staging"}  # fmt: skip
    api(appliance, "/v1/prompt-2025/update", update)
    return prompt_id


@pytest.mark.parametrize("live", [True, False], ids=["served", "offline"])
def test_from_one_directory_to_another(tmp_path: Path, provider: Provider, live: bool) -> None:
    folder = tmp_path / "files"
    with Appliance(tmp_path / "a", provider, environ=ENVIRON, lends=True) as first:
        prompt_id = changed(first)
        if not live:
            first.stop()
        (listed,) = command(first, "prompts", "list")
        assert (listed["id"], listed["versions"], listed["production"]) == (prompt_id, 2, "0.0")
        shown = command(first, "prompts", "show", "n", "--version", "staging")
        assert (shown["version"], shown["body"], shown["commit_message"]) == (
            "1.0", OTHER, "shorter",
        )  # fmt: skip
        assert command(first, "prompts", "show", prompt_id)["body"] == BODY
        diff = command(first, "prompts", "diff", "n", "1.0")["diff"].splitlines()
        assert '-      "content": "Say {{hc:name:string}}.",' in diff
        assert '+      "content": "You greet {{hc:name:string}}.",' in diff
        (written,) = command(first, "prompts", "export", str(folder))
        assert "prompt_unknown" not in command(first, "prompts", "show", "gone", code=1)
    whole = json.loads(Path(written["file"]).read_text())
    assert [one["version"] for one in whole["versions"]] == ["0.0", "1.0"]
    with Appliance(tmp_path / "b", provider, environ=ENVIRON, lends=True) as second:
        if not live:
            second.stop()
        (taken,) = command(second, "prompts", "import", str(folder))
        assert (taken["id"], taken["versions"], taken["added"]) == (prompt_id, 2, 2)
        assert command(second, "prompts", "import", str(folder))[0]["added"] == 0
        again = tmp_path / "again"
        (copy,) = command(second, "prompts", "export", str(again))
        assert _timeless(Path(copy["file"])) == _timeless(Path(written["file"]))
        whole["versions"][0]["body"] = OTHER
        Path(written["file"]).write_text(json.dumps(whole))
        said = command(second, "prompts", "import", written["file"], code=1)
        assert "a version 0.0 that says something else" in said
        if not live:
            second.start()
        ask = {"prompt_id": prompt_id, "inputs": {"name": "Ada"}, "messages": []}
        assert call(second, CHAT, ask).status == 200
        assert provider.received[-1].json["messages"][0]["content"] == "You greet Ada."


def _timeless(path: Path) -> Any:
    whole = json.loads(path.read_text())
    for version in whole["versions"]:
        del version["created_at"], version["version_id"]
    return whole


def test_what_is_imported_holds_for_the_next_call(tmp_path: Path, provider: Provider) -> None:
    """Also where the server had looked for it before, and found another."""
    with Appliance(tmp_path, provider, environ=ENVIRON, lends=True) as appliance:
        prompt_id = changed(appliance)
        ask = {"prompt_id": prompt_id, "inputs": {"name": "Ada"}, "messages": []}
        assert call(appliance, CHAT, ask).status == 200
        (written,) = command(appliance, "prompts", "export", str(tmp_path / "files"))
        whole = json.loads(Path(written["file"]).read_text())
        whole["versions"][1]["environments"] = ["staging", "production"]
        whole["versions"][0]["environments"] = []
        Path(written["file"]).write_text(json.dumps(whole))
        command(appliance, "prompts", "import", written["file"])
        assert call(appliance, CHAT, ask).status == 200
        assert provider.received[-1].json["messages"][0]["content"] == "Say Ada."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is no prompt"),
        ('{"id": "x/y", "name": "n", "versions": [{}]}', "id: expected"),
        ('{"id": "x", "versions": [{}]}', "name: expected"),
        ('{"id": "x", "name": "n", "versions": [{"version": 1}]}', "version: expected"),
        ('{"id": "x", "name": "n", "versions": [{"version": "1.0"}]}', "body: expected"),
        ('{"id": "x", "name": "n", "versions": [7]}', "the file: expected"),
    ],
)
def test_what_is_no_prompt_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with Appliance(tmp_path) as appliance:
        assert appliance.stop() == 0
        file = tmp_path / "x.prompt.json"
        file.write_text(text)
        (line,) = command(appliance, "prompts", "import", str(file), code=1).splitlines()
        assert said in line
        assert command(appliance, "prompts", "list") == []


@pytest.mark.parametrize("live", [True, False], ids=["served", "offline"])
def test_a_dataset_as_a_file(tmp_path: Path, provider: Provider, live: bool) -> None:
    with Appliance(tmp_path, provider) as appliance:
        desk = Desk(appliance)
        ids = [desk.call(text, "ada") for text in ("one", "two")]
        for one in ids:
            appliance.row(one)
        dataset = desk.ask("", {"datasetName": "support", "requestIds": ids})["datasetId"]
        want = {shape: desk.export(dataset, f"shape={shape}").body for shape in ("raw", "openai")}
        if not live:
            assert appliance.stop() == 0
        (listed,) = command(appliance, "datasets", "list")
        assert (listed["id"], listed["name"], listed["rows"]) == (dataset, "support", 2)
        file = tmp_path / "train.jsonl"
        for shape, body in want.items():
            done = run(
                tmp_path, "datasets", "export", "support", "--shape", shape, "-o", str(file),
                "--data-dir", str(appliance.data),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            found, rest = ([json.loads(line) for line in text.splitlines()]
                           for text in (file.read_bytes(), body))  # fmt: skip
            for row in (*found, *rest):
                row.pop("created_at", None)
            assert found == rest
        assert "there is no dataset" in command(appliance, "datasets", "export", "x", code=1)
