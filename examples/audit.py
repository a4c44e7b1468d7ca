"""An audit log: every start, failure, decision, end and dead letter is a line of JSON, down to the last one.

python examples/audit.py [FILE]
"""

import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import trio

from trioakt import (
    Actor,
    ActorFailed,
    ActorFailedError,
    ActorRef,
    ActorRestarted,
    ActorStopped,
    ActorSuspended,
    ActorSystem,
    Context,
    DeadLetter,
    Directive,
    Event,
    Missed,
    OneForOne,
    PoisonPill,
    Request,
    SystemStatistics,
    message,
)


class CardUnreadable(Exception):
    """Happens; the next card may be fine."""


class TerminalDown(Exception):
    """A fresh connection may help."""


class SignsOfFraud(Exception):
    """Somebody has to look at this."""


class MoneyMissing(Exception):
    """This till must not go on."""


TROUBLE = {error.__name__: error for error in (CardUnreadable, TerminalDown, SignsOfFraud, MoneyMissing)}


@message
class Charge(Request[str]):
    cents: int
    trouble: str = ""


class Till(Actor):
    def receive(self, ctx: Context, msg: Charge) -> None:
        if msg.trouble:
            raise TROUBLE[msg.trouble](f"at {msg.cents} cents")
        ctx.reply(f"{ctx.self.name} took {msg.cents} cents")


class Shop(Actor):
    supervision = OneForOne(
        {
            CardUnreadable: Directive.RESUME,
            TerminalDown: Directive.RESTART,
            SignsOfFraud: Directive.SUSPEND,
            MoneyMissing: Directive.STOP,
        }
    )

    async def pre_start(self, ctx: Context) -> None:
        for name in "till-1", "till-2", "till-3":
            await ctx.spawn(Till, name=name)


async def keep_audit(system: ActorSystem, file: Path, *, task_status: trio.TaskStatus[None]) -> None:
    """Write all events of a system to a file.

    It belongs into a nursery *around* the system. It is shielded, because a crash must not keep the last lines from
    the file, and it ends by itself: a system that has ended ends its streams.
    """
    with trio.CancelScope(shield=True):
        async with await trio.open_file(file, "a", encoding="utf-8") as log, system.events.subscribe() as events:
            task_status.started()
            async for event in events:
                await log.write(json.dumps(entry(event)) + "\n")
                await log.flush()


def entry(event: Event | Missed) -> dict[str, object]:
    """Say what happened in plain words and numbers; what a message contains stays out, it may be a secret."""
    said: dict[str, object] = {"time": datetime.now(UTC).isoformat(), "event": type(event).__name__}
    if isinstance(event, Missed):
        return {**said, "count": event.count}
    said["actor"] = event.ref.path
    match event:
        case ActorStopped(cause=cause):
            said["cause"] = cause.name
        case ActorRestarted(restarts=restarts):
            said["restarts"] = restarts
        case ActorFailed(failure=failure) | ActorSuspended(failure=failure):
            said["failure"] = str(failure)
        case DeadLetter(message=message, reason=reason):
            said |= {"message": type(message).__name__, "reason": reason.value}
        case _:
            pass
    return said


async def trade(system: ActorSystem) -> None:
    await system.spawn(Shop, name="shop")
    one, two, three = (till for till in system.actors() if till.name.startswith("till"))
    await charge(one, Charge(500))
    await charge(one, Charge(700, "CardUnreadable"))
    await charge(one, Charge(700))
    await charge(two, Charge(300, "TerminalDown"))
    await charge(two, Charge(300))
    await charge(two, Charge(9_999_00, "SignsOfFraud"))
    two.reinstate()  # somebody has looked at it
    await charge(three, Charge(100, "MoneyMissing"))
    await three.wait_stopped()
    three.tell(Charge(200))
    one.tell(PoisonPill())
    one.tell(Charge(400))  # comes too late
    await one.wait_stopped()


async def charge(till: ActorRef, request: Charge) -> None:
    try:
        print(await till.ask(request))
    except ActorFailedError as error:
        print(f"{till.name} did not take {request.cents} cents: {error.__cause__!r}")


async def run(file: Path) -> SystemStatistics:
    async with trio.open_nursery() as keepers, ActorSystem("shop") as system:
        await keepers.start(keep_audit, system, file)
        await trade(system)
    return system.statistics()


def examine(file: Path, figures: SystemStatistics) -> None:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["event"] not in ("ActorStarted", "ActorStopped"):
            print(*(value for key, value in line.items() if key != "time"))
    counted = Counter(line["event"] for line in lines)
    print(counted["ActorStarted"], "actors started,", counted["ActorStopped"], "stopped")
    print("every failure is there:", counted["ActorFailed"] == figures.failures)
    print("every dead letter is there:", counted["DeadLetter"] == figures.dead_letters)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "audit.jsonl"
        examine(file, trio.run(run, file))


if __name__ == "__main__":
    main()
