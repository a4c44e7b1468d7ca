"""Membership: who is there, who leads, and what becomes of a node that loses its lease."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, open_town
from trioakt import (
    Actor,
    ActorFailedError,
    ActorSystem,
    Cluster,
    Context,
    LeaderChanged,
    LeaseLostError,
    MembershipLost,
    NodeJoined,
    NodeLeft,
    NoQuorumError,
    Request,
    message,
)


@message
class Sleep(Request[int]):
    """Answered by the fencing token, after a while."""

    seconds: float


class Sleeper(Actor):
    """Lets its whole process sleep, as a laptop does whose lid is closed."""

    def receive(self, ctx: Context, msg: Sleep) -> None:
        """Sleep, and answer."""
        cast("MockClock", trio.lowlevel.current_clock()).jump(msg.seconds)
        ctx.reply(ctx.fencing_token)


async def test_members_see_each_other_with_their_roles_and_kinds(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a", roles={"entity"}), await town.start("b")

        first, second = await here.cluster.wait_members(2)

        assert (first.node, first.address, first.roles) == ("a", here.address, frozenset({"entity"}))
        assert (second.node, second.address, second.roles) == ("b", there.address, frozenset())
        assert any(kind.endswith("Counter") for kind in first.kinds)


async def test_the_oldest_member_leads_until_it_leaves(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await there.cluster.wait_members(2)
        assert (here.cluster.is_leader, there.cluster.is_leader) == (True, False)

        await town.leave(here)
        await trio.sleep(0.5)

        leader = there.cluster.leader()
        assert leader is not None
        assert (leader.node, there.cluster.is_leader) == ("b", True)


async def test_the_event_stream_tells_of_members(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        async with here.events.subscribe(NodeJoined, NodeLeft, LeaderChanged) as events:
            there = await town.start("b")
            await town.leave(there)
            joined, left = await anext(events), await anext(events)

        assert isinstance(joined, NodeJoined)
        assert isinstance(left, NodeLeft)
        assert (joined.member.node, left.member.node) == ("b", "b")


async def test_a_node_that_comes_back_is_another_incarnation(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        _, before = await here.cluster.wait_members(2)
        await town.leave(there)

        await town.start("b")
        _, after = await here.cluster.wait_members(2)

        assert after.incarnation > before.incarnation


async def test_a_node_that_loses_its_lease_stops_owning_says_so_and_comes_back(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        await here.spawn(Counter, 5, name="ada", cluster=True)
        spawned = here.actor("ada")
        assert spawned is not None

        async with here.events.subscribe(MembershipLost) as events:
            town.store.partition("a")
            lost_at = trio.current_time()
            await anext(events)
            assert trio.current_time() - lost_at < TTL
            assert not spawned.is_alive
            with pytest.raises(LeaseLostError):
                await here.spawn(Counter, 0, name="eve", cluster=True)
            with pytest.raises(LeaseLostError):
                here.cluster.fencing_token(spawned.path)

        town.store.heal()
        await trio.sleep(2 * TTL)
        found = await here.locate("ada")
        assert found is not None
        assert await found.ask(Add(1)) == 6


async def test_an_actor_that_was_held_up_for_longer_than_the_lease_gets_no_fencing_token(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        here = await town.start("a", kinds=[Sleeper])
        ref = await here.spawn(Sleeper, name="ada", cluster=True)

        assert await ref.ask(Sleep(TTL / 2))
        with pytest.raises(ActorFailedError) as failed:
            await ref.ask(Sleep(TTL))

        assert isinstance(failed.value.__cause__, LeaseLostError)


async def test_with_the_store_out_of_reach_what_is_owned_goes_on_and_nothing_new_is_taken(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        here = await town.start("a")
        ref = await here.spawn(Counter, 5, name="ada", cluster=True)
        town.store.partition("a")

        assert await ref.ask(Add(1)) == 6
        with pytest.raises(NoQuorumError):
            await here.spawn(Counter, 0, name="eve", cluster=True)


async def test_a_cluster_needs_a_way_between_its_nodes(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="remote"):
        ActorSystem("town", cluster=Cluster("sqlite:///town.db"))


@pytest.mark.parametrize(
    ("options", "error"),
    [({"roles": "entity"}, TypeError), ({"kinds": [int]}, TypeError), ({"lease_ttl": 0.1}, ValueError)],
)
def test_bad_settings_are_refused_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Cluster("sqlite:///town.db", **options)
