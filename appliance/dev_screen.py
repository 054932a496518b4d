"""The screen of `dev`: calls as they end, sessions as trees, errors, and what it all came to.

Draws what the board knows and decides nothing. Texts are `Text`, never rich's markup.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from threading import Lock
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from appliance.core.dev_board import Board, Call, Session, Step

HEAD_LINES: Final = 3
ERROR_LINES: Final = 5
FRAME_LINES: Final = 2
SESSIONS_SHOWN: Final = 5
STEPS_SHOWN: Final = 12
WIDE_COLUMNS: Final = 110  # from here on sessions stand beside the calls


class Screen:
    """Drawn anew, as large as the terminal is then, by a thread of rich's: whoever adds to the
    board holds `lock` meanwhile, since a deque that grows while it is read ends its reader."""

    def __init__(self, board: Board, url: str) -> None:
        self.lock = Lock()
        self._board = board
        self._url = url

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """All of it."""
        with self.lock:
            whole = self._drawn(console)
        yield whole

    def _drawn(self, console: Console) -> Layout:
        room = console.height - HEAD_LINES - ERROR_LINES - FRAME_LINES
        calls = Layout(Panel(self._calls(max(1, room - 1)), title="calls", style="dim"), ratio=3)
        sessions = Layout(Panel(self._sessions(), title="sessions", style="dim"), ratio=2)
        middle = Layout()
        if console.width >= WIDE_COLUMNS:
            middle.split_row(calls, sessions)
        else:
            middle.split_column(calls, sessions)
        whole = Layout()
        whole.split_column(
            Layout(self._head(), size=HEAD_LINES),
            middle,
            Layout(Panel(self._errors(), title="errors", style="dim"), size=ERROR_LINES),
        )
        return whole

    def _head(self) -> Text:
        board = self._board
        head = Text(f"{self._url}", style="bold")
        head.append("   Ctrl-C ends it\n", style="dim")
        words = [
            counted(board.total.calls, "call"),
            f"{board.tokens_in:,} tokens in, {board.tokens_out:,} out",
            dollars(board.total.cost_usd),
            counted(board.failed, "error"),
        ]
        if board.without_price:
            words.append(f"{board.without_price:,} without a price")
        return head.append(" · ".join(words))

    def _calls(self, lines: int) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, header_style="dim", style="not dim")
        table.add_column("at", no_wrap=True, width=8)
        table.add_column("model", no_wrap=True, ratio=1)
        for name in ("status", "in", "out", "cost", "ms"):
            table.add_column(name, justify="right", no_wrap=True)
        for call in islice(reversed(self._board.calls), lines):
            table.add_row(*_cells(call), style="red" if call.failed else "")
        return table

    def _sessions(self) -> Tree | Text:
        newest = list(islice(reversed(self._board.sessions.values()), SESSIONS_SHOWN))
        if not newest:
            return Text("Calls with Helicone-Session-Id stand here as trees.", style="not dim")
        forest = Tree("", hide_root=True, style="not dim")
        for session in newest:
            _grow(forest.add(_labelled(session.name, session.total)), session)
        return forest

    def _errors(self) -> Text:
        text = Text(style="not dim")
        for call in islice(reversed(self._board.errors), ERROR_LINES - FRAME_LINES):
            text.append(f"{call.at}  {call.status}  {call.model}  {call.why}\n", style="red")
        return text


def _cells(call: Call) -> Iterator[Text]:
    for words in (
        call.at, call.model, call.status if call.outcome == "complete" else call.outcome,
        call.tokens_in, call.tokens_out,
        "no price" if call.cost_usd is None else dollars(call.cost_usd), f"{call.latency_ms:,.0f}",
    ):  # fmt: skip
        yield Text(words)


def _grow(tree: Tree, session: Session) -> None:
    """A branch for each part of a path: `/plan/search` hangs below `/plan`."""
    branches: dict[str, Tree] = {"": tree}
    for path, step in islice(session.steps.items(), STEPS_SHOWN):
        parts = [part for part in path.split("/") if part]
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name not in branches:
                label = _labelled(parts[depth - 1], step if depth == len(parts) else None)
                branches[name] = branches["/".join(parts[: depth - 1])].add(label)
            elif depth == len(parts):
                branches[name].label = _labelled(parts[-1], step)
    rest = len(session.steps) - STEPS_SHOWN
    if rest > 0:
        tree.add(Text(f"and {rest} more"))


def _labelled(name: str, step: Step | None) -> Text:
    label = Text(name, no_wrap=True, overflow="ellipsis")
    if step is not None:
        cost = dollars(step.cost_usd) if step.with_price else "no price"
        took_s = step.latency_ms / 1000
        label.append(f"  {counted(step.calls, 'call')} · {cost} · {took_s:.1f} s", style="dim")
    return label


def counted(number: int, thing: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def dollars(cost: Decimal) -> str:
    """Six decimals are what one call costs."""
    return f"${cost:.6f}"
