"""The program, with actors that a test can kill, whichever the supervisor has.

Over the control socket: `actors.kill` ends an actor's task with an error, as a bug would, and lets
none of its next lives begin until `actors.spare`; `actors.lives` tells when they were begun;
`actors.deafen` makes one method of it fail with each call, until `actors.mend`.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import trio

from appliance import cli
from appliance.actors.supervisor import Actor, Seat, Supervisor
from appliance.control_commands import Commands
from appliance.door.control import Command, ControlReply
from tests.fakes import patient_program


class Killed(Exception):  # noqa: N818 - what has happened to it
    """As a bug would end it."""


class Mortal:
    """An actor, and when its lives began."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.lives: list[float] = []
        self.doomed = False
        self.wound = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.lives.append(time.monotonic())
        if self.doomed:
            raise Killed("not to live yet: /a/path/of/this/machine")
        self.wound = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._live, nursery.cancel_scope)
            task_status.started()
            await self.wound.wait()
            raise Killed("a bug")

    async def _live(self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        await self.actor.run(task_status=task_status)
        scope.cancel()

    def close(self) -> None:
        self.actor.close()

    @property
    def inbox(self) -> int:
        return self.actor.inbox

    @property
    def trouble(self) -> str:
        return self.actor.trouble


mortals: dict[str, Mortal] = {}
add_seat: Callable[[Supervisor, str, Actor], Seat] = Supervisor.add
table_of = Commands.table


def add(supervisor: Supervisor, name: str, actor: Actor) -> Seat:
    mortals[name] = Mortal(actor)
    return add_seat(supervisor, name, mortals[name])


def refuse(*_: object, **__: object) -> None:
    raise Killed("a bug in a method")


def command(work: Callable[[dict[str, Any]], object]) -> Command:
    async def run(arguments: dict[str, Any], reply: ControlReply) -> None:
        await reply.value(work(arguments))

    return run


def kill(given: dict[str, Any]) -> None:
    mortal = mortals[given["name"]]
    mortal.doomed = True
    mortal.wound.set()


def spare(given: dict[str, Any]) -> None:
    mortals[given["name"]].doomed = False


def deafen(given: dict[str, Any]) -> None:
    setattr(mortals[given["name"]].actor, given["method"], refuse)


def mend(given: dict[str, Any]) -> None:
    delattr(mortals[given["name"]].actor, given["method"])


def table(commands: Commands) -> dict[str, Command]:
    return {
        **table_of(commands),
        "actors.names": command(lambda _: list(mortals)),
        "actors.lives": command(lambda given: mortals[given["name"]].lives),
        "actors.kill": command(kill),
        "actors.spare": command(spare),
        "actors.deafen": command(deafen),
        "actors.mend": command(mend),
    }


if __name__ == "__main__":
    Supervisor.add = add  # type: ignore[assignment, method-assign]
    Commands.table = table  # type: ignore[method-assign]
    patient_program.be_patient()
    sys.exit(cli.main())
