"""What becomes of work across datacenters when the link between them is cut, or their directory is out of reach."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Who
from tests.datacenter.kinds import Clerk, Nap, User
from tests.datacenter.world import KINDS, LEASE, MAX_AGE, World, located, two_towns
from trioakt import (
    ActorRef,
    ActorStoppedError,
    ConnectionLostError,
    DatacenterError,
    DatacenterState,
    NodeUnreachableError,
    Placement,
    TerminationCause,
)
from trioakt.testing import Probe

EU, US = {"eu-1", "eu-2"}, {"us-1", "us-2", "us-3"}


@contextmanager
def cut(world: World) -> Generator[None]:
    """Let nothing through between the datacenters; both still reach the directory."""
    world.network.partition(EU, US)
    yield
    world.network.heal()


async def test_a_request_that_is_under_way_when_the_link_is_cut_ends_with_an_error(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, _, there):
        await there[0].spawn(Clerk, name="clerk", cluster=True)
        clerk = await located(here, "clerk", "us")
        assert await clerk.ask(Nap(1)) == "rested"

        with cut(world), pytest.raises(ConnectionLostError):
            await clerk.ask(Nap(100))


async def test_while_the_link_is_cut_nothing_new_gets_through_and_all_goes_on_by_itself(
    autojump_clock: MockClock,
) -> None:
    async with two_towns() as (world, _, here, _, there):
        await there[0].spawn(Counter, name="ada", cluster=True)
        ada, user = await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")
        assert await ada.ask(Add(1)) == await user.ask(Add(1)) == 1

        with cut(world):
            await trio.sleep(30)
            for ref in (ada, user):
                with pytest.raises(ConnectionLostError):
                    await ref.ask(Add(1))
            with pytest.raises(NodeUnreachableError):
                await here.locate("eve", datacenter="us")
            with pytest.raises(NodeUnreachableError):
                await here.spawn_on(Placement.random(datacenter="us"), Counter, name="eve")
            assert [each.state.value for each in here.cluster.datacenters()] == ["active", "active"]
        await trio.sleep(6)

        assert await ada.ask(Add(1)) == await user.ask(Add(1)) == 2
        assert await here.locate("eve", datacenter="us") is None


async def test_what_is_asked_of_a_grain_whose_owner_is_not_known_waits_for_the_link(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, _, _):
        answers: list[int] = []

        async def ask(user: ActorRef[object]) -> None:
            answers.append(await user.ask(Add(1)))

        async with trio.open_nursery() as nursery:
            with cut(world):
                user = here.grain(User, "u-1", datacenter="us")
                nursery.start_soon(ask, user)
                with trio.move_on_after(30) as patience:
                    await user.ask(Add(100))
                assert patience.cancelled_caught
                assert answers == []
        assert answers == [1]


async def test_what_moves_over_there_while_the_link_is_cut_is_found_afterwards(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, us, there):
        await there[0].spawn(Counter, name="ada", cluster=True)
        ada, user = await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")
        assert await ada.ask(Who()) == there[0].address
        await user.ask(Who())

        with cut(world):
            await trio.sleep(10)
            third = await us.start("us-3", kinds=KINDS, grains=(User,))
            for system in there:
                await us.leave(system)
            await trio.sleep(10)
        await trio.sleep(6)

        assert await ada.ask(Who()) == await user.ask(Who()) == third.address


async def test_who_watches_a_name_hears_nothing_of_the_link_and_who_watches_a_grain_does(
    autojump_clock: MockClock,
) -> None:
    async with two_towns() as (world, _, here, _, there):
        await there[0].spawn(Counter, name="ada", cluster=True)
        ada, user = await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")
        assert await user.ask(Add(1)) == 1
        probe = await Probe.spawn(here)
        probe.watch(ada)
        probe.watch(user)
        await trio.sleep(1)

        with cut(world):
            ended = await probe.expect_terminated(user, within=30)
            assert ended.cause == TerminationCause.NODE_LOST
            await probe.expect_none(within=30)


async def test_the_link_back_is_cut_too(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, _, there):
        await here.spawn(Counter, name="ada", cluster=True)
        ada = await located(there[0], "ada", "eu")
        assert await ada.ask(Add(1)) == 1
        with cut(world):
            await trio.sleep(30)
            assert await (await located(here, "ada", "eu")).ask(Add(1)) == 2
        await trio.sleep(6)
        assert await ada.ask(Add(1)) == 3


async def test_refs_in_hand_go_on_when_the_directory_is_out_of_reach(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, us, there):
        await there[0].spawn(Counter, name="ada", cluster=True)
        ada, user = await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")
        assert await ada.ask(Add(1)) == await user.ask(Add(1)) == 1

        world.directory.freeze()
        await trio.sleep(2 * MAX_AGE)
        with pytest.raises(DatacenterError, match="not been heard from"):
            here.grain(User, "u-1", datacenter="us")
        with pytest.raises(DatacenterError, match="not been heard from"):
            await here.spawn_on(Placement.random(datacenter="us"), Counter, name="eve")

        third = await us.start("us-3", kinds=KINDS, grains=(User,))
        await trio.sleep(2)
        for system in there:
            await us.leave(system)
        await trio.sleep(2 * TTL)
        assert await ada.ask(Who()) == await user.ask(Who()) == third.address

        world.directory.thaw()
        await trio.sleep(LEASE + MAX_AGE)
        assert here.grain(User, "u-1", datacenter="us") == user
        assert [each.state.value for each in here.cluster.datacenters()] == ["active", "active"]


async def test_who_waits_for_another_datacenter_when_the_own_node_ends_is_told(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, eu, here, _, _):
        second = await eu.start("eu-2", grains=(User,))
        await second.cluster.wait_datacenter("us")
        user = second.grain(User, "u-1", datacenter="us")
        refused = list[str]()

        async def ask() -> None:
            with pytest.raises((ActorStoppedError, ConnectionLostError)) as ended:
                await user.ask(Add(1))
            refused.append(type(ended.value).__name__)

        async with trio.open_nursery() as nursery:
            with cut(world):
                nursery.start_soon(ask)
                await trio.sleep(1)
                await eu.leave(second)
        assert refused
        with pytest.raises(ActorStoppedError):
            second.grain(User, "u-1", datacenter="us")
        assert await here.grain(User, "u-1", datacenter="us").ask(Add(1)) == 1


@pytest.mark.parametrize("seed", range(10))
async def test_a_slow_directory_in_which_nodes_come_and_go_tells_the_truth_in_the_end(
    autojump_clock: MockClock, seed: int
) -> None:
    async with two_towns() as (world, _, here, us, there):
        rng = Random(seed)
        world.directory.delay(0.0, LEASE / 10, rng)
        second = await us.start("us-3", kinds=KINDS, grains=(User,))
        for act in rng.sample([us.leave, us.crash], 2):
            await trio.sleep(rng.uniform(0, LEASE))
            await act(there.pop(rng.randrange(len(there))))
        await trio.sleep(3 * LEASE)

        _, info = here.cluster.datacenters()
        assert (info.state, info.addresses) == (DatacenterState.ACTIVE, (second.address,))
        assert await here.grain(User, "u-1", datacenter="us").ask(Who()) == second.address


async def test_a_node_whose_address_is_that_of_another_datacenter_now_is_not_believed(
    autojump_clock: MockClock,
) -> None:
    async with two_towns() as (world, _, here, us, there):
        await there[1].spawn(Counter, 5, name="ada", cluster=True)
        ada = await located(here, "ada", "us")
        await us.leave(there[0])
        impostor = world.town("mars")
        taken = await impostor.start("us-1", kinds=KINDS)
        await taken.spawn(Counter, 100, name="ada", cluster=True)
        await taken.spawn(Counter, name="eve", cluster=True)

        assert await ada.ask(Add(1)) == 6
        assert await here.locate("eve", datacenter="us") is None


async def test_a_cluster_whose_name_another_one_has_taken_over_is_the_datacenter_no_more(
    autojump_clock: MockClock,
) -> None:
    async with two_towns() as (world, _, here, _, there):
        user = there[0].grain(User, "u-1", datacenter="eu")
        await there[0].cluster.wait_datacenter("eu")
        assert await user.ask(Who()) == here.address

        world.directory.partition("eu-1")
        await trio.sleep(2 * LEASE)
        successor = await world.town("eu").start("eu-9", kinds=KINDS, grains=(User,))
        await trio.sleep(LEASE)
        world.directory.heal()
        await trio.sleep(3 * LEASE)

        assert await user.ask(Who()) == successor.address
        assert await here.grain(User, "u-1").ask(Who()) == here.address
