"""The audit log of ``examples/audit.py`` is complete, however the program ends."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import trio

from examples.audit import Charge, Shop, keep_audit
from trioakt import ActorSystem


def logged(file: Path) -> Counter[str]:
    return Counter(json.loads(line)["event"] for line in file.read_text(encoding="utf-8").splitlines())


async def work_and(fail: BaseException | None, file: Path) -> None:
    async with trio.open_nursery() as keepers, ActorSystem("shop") as system:
        await keepers.start(keep_audit, system, file)
        shop = await system.spawn(Shop, name="shop")
        shop.stop()
        await shop.wait_stopped()
        for cents in range(500):
            shop.tell(Charge(cents))
        if fail is not None:
            raise fail


def test_every_event_is_in_the_log_when_the_program_ends_by_itself(tmp_path: Path) -> None:
    trio.run(work_and, None, tmp_path / "log")
    assert logged(tmp_path / "log") == {"ActorStarted": 4, "ActorStopped": 4, "DeadLetter": 500}


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()], ids=repr)
def test_every_event_is_in_the_log_when_the_program_crashes(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(BaseExceptionGroup):
        trio.run(work_and, error, tmp_path / "log")
    assert logged(tmp_path / "log") == {"ActorStarted": 4, "ActorStopped": 4, "DeadLetter": 500}


async def cancelled_at_work(file: Path) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as keepers, ActorSystem("shop") as system:
            await keepers.start(keep_audit, system, file)
            await system.spawn(Shop, name="shop")
            scope.cancel()
            await trio.sleep_forever()


def test_every_event_is_in_the_log_when_the_program_is_cancelled(tmp_path: Path) -> None:
    trio.run(cancelled_at_work, tmp_path / "log")
    assert logged(tmp_path / "log") == {"ActorStarted": 4, "ActorStopped": 4}
