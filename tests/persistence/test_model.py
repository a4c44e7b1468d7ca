"""Whatever happens to an event-sourced actor, its state is that of a list of the changes that were acknowledged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do
from tests.persistence.accounts import (
    Account,
    Balance,
    Changed,
    Forgetful,
    Money,
    Moody,
    OftenSnapshotted,
    balance_in_a_new_system,
    change,
)
from trioakt import ActorFailedError, ActorRef, ActorStoppedError, ActorSystem, Context, OneForOne
from trioakt.codec import Codec
from trioakt.persistence import MemoryJournal

Step: TypeAlias = Callable[["Story"], Awaitable[None]]

PATIENT = OneForOne(max_restarts=1_000_000)


class Story:
    """One account, what happens to it, and what must be known of it."""

    def __init__(self, kind: type[Account]) -> None:
        self.kind = kind
        self.journal = Moody()
        self.stored: list[int] = []
        self.known = 0
        """How many of the stored changes the present life knows."""
        self.account: ActorRef
        self.system: ActorSystem

    async def tell(self, steps: list[Step]) -> None:
        async with ActorSystem("test", extensions=[self.journal]) as self.system:
            await self.live()
            for step in steps:
                await step(self)
                state = await self.account.ask(Balance())
                assert state == money(self.stored[: self.known])
        assert await balance_in_a_new_system(self.journal, self.kind) == money(self.stored)

    async def live(self) -> None:
        self.account = await self.system.spawn(self.kind, supervision=PATIENT)
        self.known = len(self.stored)


def money(changes: list[int]) -> Money:
    return Money(sum(changes), tuple(changes))


def changing(amounts: list[int]) -> Step:
    async def step(story: Story) -> None:
        balances = [sum(story.stored[: story.known] + amounts[: upto + 1]) for upto in range(len(amounts))]
        is_stale = story.known < len(story.stored)
        fails = any(balance < 0 for balance in balances) or (bool(amounts) and (is_stale or story.journal.full))
        try:
            await change(story.account, *amounts)
        except ActorFailedError:
            assert fails
        else:
            assert not fails
            story.stored += amounts
        if fails or not is_stale:
            story.known = len(story.stored)

    return step


def filling(*, full: bool) -> Step:
    async def step(story: Story) -> None:
        story.journal.full = full

    return step


async def failing(story: Story) -> None:
    def fail(ctx: Context) -> None:
        raise ValueError("mine")

    with suppress(ActorFailedError):
        await story.account.ask(Do(fail))
    story.known = len(story.stored)


async def killing(story: Story) -> None:
    story.account.kill()
    await story.account.wait_stopped()
    await story.live()


async def killing_in_the_middle_of_a_write(story: Story) -> None:
    is_refused = story.journal.full or story.known < len(story.stored)
    story.journal.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_change_until_it_ends, story.account)
        await settle()
        story.account.kill()
        story.journal.gate.set()
    await story.account.wait_stopped()
    if not is_refused:
        story.stored.append(1)
    await story.live()


async def _change_until_it_ends(account: ActorRef) -> None:
    with suppress(ActorFailedError, ActorStoppedError):
        await change(account, 1)


async def writing_elsewhere(story: Story) -> None:
    await MemoryJournal.append(story.journal, "ada", len(story.stored), [Codec().encode(Changed(1_000))])
    story.stored.append(1_000)


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.lists(st.integers(-5, 10), max_size=5).map(changing),
    st.sampled_from([failing, killing, killing_in_the_middle_of_a_write, writing_elsewhere]),
    st.booleans().map(lambda full: filling(full=full)),
)


@pytest.mark.parametrize("kind", [Account, OftenSnapshotted, Forgetful])
@given(steps=st.lists(STEPS, max_size=40), seed=st.random_module())
def test_the_recovered_state_is_that_of_the_model(kind: type[Account], steps: list[Step], seed: object) -> None:
    trio.run(Story(kind).tell, steps, clock=MockClock(autojump_threshold=0))
