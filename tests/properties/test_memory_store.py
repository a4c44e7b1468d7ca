"""Whatever is asked of the store in memory, and whatever befalls it, it holds what two dictionaries hold."""

from __future__ import annotations

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.properties.program import Program, case_of
from trioakt import LeaseLostError
from trioakt.cluster.lease import Lease
from trioakt.cluster.memory import MemoryStore, StoreStatistics
from trioakt.cluster.store import Changes, Entry

TTL = 5.0
KEYS = st.sampled_from(["a", "a/b", "b", "ab"])
NODES = st.sampled_from(["one", "two"])
NUMBERS = st.integers(0, 3)


@attrs.define(eq=False)
class Held:
    """A lease in the model."""

    node: str
    lease: Lease
    end: trio.Event
    ended: trio.Event
    is_there: bool = True


class StoreProgram(Program):
    """Uses one store from two nodes, which hold leases, lose them, and are cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, tuple[bytes, int, Held | None]] = {}
        self.leases: list[Held] = []
        self.last = 0
        self.heard: dict[str, Entry] = {}

    async def run(self) -> None:
        self.store = MemoryStore()
        async with trio.open_nursery() as self.nursery, self.store.watch("", 0) as self.changes:
            for step in self.steps:
                if awaitable := step():
                    await awaitable
                await self.compare()
            for held in self.leases:
                held.end.set()
        left = sum(held is None for _, _, held in self.keys.values())
        assert self.store.statistics() == StoreStatistics(keys=left, leases=0, watches=0)

    async def compare(self) -> None:
        listing = await self.store.list("")
        assert {one.key: (one.value, one.token) for one in listing.entries} == {
            key: (value, token) for key, (value, token, _) in self.keys.items()
        }
        assert self.store.statistics().leases == sum(held.is_there for held in self.leases)
        while self.last < listing.revision:
            each = await anext(self.changes)
            assert isinstance(each, Changes)
            self.last = each.revision
            for change in each.changes:
                if isinstance(change, Entry):
                    self.heard[change.key] = change
                else:
                    del self.heard[change.key]
        assert tuple(self.heard[key] for key in sorted(self.heard)) == listing.entries

    def gone(self, *leases: Held) -> None:
        """Let leases end in the model."""
        for held in leases:
            held.is_there = False
        self.keys = {key: row for key, row in self.keys.items() if row[2] not in leases}

    @rule(node=NODES)
    def take_a_lease(self, node: str) -> None:
        async def hold(*, task_status: trio.TaskStatus[Held]) -> None:
            async with self.store.view(node).grant(TTL) as lease:
                held = Held(node, lease, trio.Event(), trio.Event())
                task_status.started(held)
                await held.end.wait()
            held.ended.set()

        async def step() -> None:
            self.leases.append(await self.nursery.start(hold))

        self.steps.append(step)

    @rule(number=NUMBERS)
    def give_a_lease_back(self, number: int) -> None:
        async def step() -> None:
            for held in self.leases[number : number + 1]:
                held.end.set()
                await held.ended.wait()
                self.gone(held)

        self.steps.append(step)

    @rule(node=NODES)
    def end_the_leases_of_a_node(self, node: str) -> None:
        def step() -> None:
            self.store.expire(node)
            self.gone(*(held for held in self.leases if held.node == node))

        self.steps.append(step)

    @rule(node=NODES, seconds=st.sampled_from([0.5, 20.0]))
    def cut_a_node_off(self, node: str, seconds: float) -> None:
        async def step() -> None:
            self.store.partition(node)
            await trio.sleep(seconds)
            self.store.heal(node)
            if seconds > TTL:
                self.gone(*(held for held in self.leases if held.node == node))

        self.steps.append(step)

    @rule(seconds=st.sampled_from([0.5, 20.0]))
    def freeze(self, seconds: float) -> None:
        async def step() -> None:
            self.store.freeze()
            await trio.sleep(seconds)
            self.store.thaw()
            if seconds > TTL:
                self.gone(*self.leases)

        self.steps.append(step)

    @rule(seconds=st.sampled_from([0.3, 2.0, 30.0]))
    def let_time_pass(self, seconds: float) -> None:
        async def step() -> None:
            await trio.sleep(seconds)

        self.steps.append(step)

    @rule(key=KEYS, value=st.binary(max_size=2), number=st.none() | NUMBERS)
    def create(self, key: str, value: bytes, number: int | None) -> None:
        async def step() -> None:
            held = None if number is None or number >= len(self.leases) else self.leases[number]
            if held is not None and not held.is_there:
                try:
                    await self.store.create(key, value, held.lease)
                except LeaseLostError:
                    return
                raise AssertionError("a key was created under a lease that is lost")
            before = max([0, *(token for _, token, _ in self.keys.values())])
            won, token = await self.store.create(key, value, None if held is None else held.lease)
            assert won is (key not in self.keys)
            if won:
                assert token > before
                self.keys[key] = value, token, held
            assert token == self.keys[key][1]

        self.steps.append(step)

    @rule(key=KEYS, value=st.binary(max_size=2), wrong=st.sampled_from([0, 0, 1, -1]))
    def put(self, key: str, value: bytes, wrong: int) -> None:
        async def step() -> None:
            _, token, held = self.keys.get(key, (b"", 1, None))
            is_right = key in self.keys and wrong == 0
            assert await self.store.put_guarded(key, value, token + wrong) is is_right
            if is_right:
                self.keys[key] = value, token, held

        self.steps.append(step)

    @rule(key=KEYS, wrong=st.sampled_from([0, 0, 1, -1]))
    def delete(self, key: str, wrong: int) -> None:
        async def step() -> None:
            _, token, _ = self.keys.get(key, (b"", 1, None))
            is_right = key in self.keys and wrong == 0
            assert await self.store.delete(key, token + wrong) is is_right
            if is_right:
                del self.keys[key]

        self.steps.append(step)


TestMemoryStore = case_of(StoreProgram, examples=100, steps=30)
