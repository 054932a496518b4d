"""The AI gateway: chat translated to Anthropic's Messages and back, beside the same call that
nothing is translated for."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from bench_report import Report, median
from bench_requests import OURS, Contender, Round, one_round, tell
from bench_rig import CHAT_REPLY, CHAT_REQUEST, Running, start_appliance, start_nginx

GATEWAY = "/v1/chat/completions"
KEY = "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
MODEL = "claude-4.5-sonnet/anthropic"
# The goal of issue 3.
CPU_US_MAX = 400.0
PROXIED, AS_IT_IS, TRANSLATED = "proxied", "gateway, as it is", "translated"
CHAT = json.loads(CHAT_REQUEST)
BODIES = {
    PROXIED: CHAT_REQUEST,
    AS_IT_IS: json.dumps({**CHAT, "model": "gpt-4o-mini/openai"}),
    TRANSLATED: json.dumps({**CHAT, "model": MODEL, "max_tokens": 400}),
}


def gateway(folder: Path, args: Namespace, report: Report) -> None:
    report.heading("AI gateway, translated to Anthropic: 16 connections")
    claude = start_nginx(folder / "claude", reply=claude_reply())
    openai = start_nginx(folder / "openai")
    started = [claude, openai]
    try:
        provider = (
            f'auth = "none"\n[providers.anthropic]\nbase_url = "{claude.url}"\nauth = "none"\n'
        )
        # A server for each: rolling up what the others recorded is none of its work.
        for name in BODIES:
            started.append(
                start_appliance(
                    folder / name, openai.url, *args.option, plain=args.plain, provider=provider
                )
            )
        rounds = measured(folder, args, dict(zip(BODIES, started[2:], strict=True)))
    finally:
        for server in reversed(started):
            server.stop()
    tell(report, rounds)
    found = rounds[TRANSLATED]
    report.figure(
        "AI gateway to Anthropic: CPU per request", median(found, lambda r: r.cpu_us), "us",
        at_most=CPU_US_MAX,
    )  # fmt: skip
    report.figure(
        "AI gateway to Anthropic: requests/s", median(found, lambda r: r.load.per_s), "/s"
    )
    report.figure("AI gateway to Anthropic: errors", sum(r.load.errors for r in found), "",
                  at_most=0)  # fmt: skip


def measured(folder: Path, args: Namespace, servers: dict[str, Running]) -> dict[str, list[Round]]:
    """The rounds of each, in turns; the first of them does not count."""
    headers = {"Authorization": KEY}
    rounds: dict[str, list[Round]] = {name: [] for name in servers}
    for number in range(args.rounds + 1):
        for name, ours in servers.items():
            path = OURS if name == PROXIED else GATEWAY
            who = Contender(name, ours, path, ours.pid, headers)
            found = one_round(folder, who, args, 16, differing=False, body=BODIES[name])
            if number:
                rounds[name].append(found)
    return rounds


def claude_reply() -> str:
    """As much text as the other upstream gives."""
    choice = json.loads(CHAT_REPLY)["choices"][0]
    text = choice["message"]["content"]
    return json.dumps({
        "id": "msg_01bench", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-5-20250929", "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 180, "output_tokens": 140, "cache_read_input_tokens": 0,
                  "cache_creation_input_tokens": 0},
    })  # fmt: skip
