"""What can be seen of a running system: look-up, the drawing of the tree, statistics."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, Sleep, sleeping, spawn_child
from trioakt import ActorRef, ActorSystem, DeadLetterReason, Directive, OneForOne


async def bank(system: ActorSystem) -> dict[str, ActorRef]:
    """Make a tree: bank over ada and bob, x under ada."""
    top = await system.spawn(Recorder, name="bank")
    ada = await spawn_child(top, Recorder, "ada")
    return {
        "bank": top,
        "ada": ada,
        "x": await spawn_child(ada, Recorder, "x"),
        "bob": await spawn_child(top, Recorder, "bob"),
    }


# Look-up


async def test_an_actor_is_found_by_its_path_and_below_user_by_its_relative_path() -> None:
    async with ActorSystem("test") as system:
        refs = await bank(system)
        assert system.actor("bank") == system.actor("/user/bank") == refs["bank"]
        assert system.actor("bank/ada/x") == system.actor("/user/bank/ada/x") == refs["x"]


@pytest.mark.parametrize(
    "path", ["", "/", "//", "ada", "/bank", "bank/", "bank//ada", "/user/bank/none", "no such/ö", "$"]
)
async def test_what_is_not_there_is_none(path: str) -> None:
    async with ActorSystem("test") as system:
        await bank(system)
        assert system.actor(path) is None


async def test_actors_lists_all_alive_each_parent_before_its_children() -> None:
    async with ActorSystem("test") as system:
        assert system.actors() == ()
        refs = await bank(system)
        assert system.actors() == (refs["bank"], refs["ada"], refs["x"], refs["bob"])
        refs["ada"].stop()
        await refs["ada"].wait_stopped()
        assert system.actors() == (refs["bank"], refs["bob"])


async def test_after_the_end_nobody_is_found() -> None:
    async with ActorSystem("test") as system:
        await bank(system)
    assert system.actors() == ()
    assert system.actor("bank") is None
    assert "bank" not in str(system.tree())


# The drawing


async def test_the_tree_is_drawn_with_a_line_for_each_actor_and_children_further_in() -> None:
    async with ActorSystem("test") as system:
        await bank(system)
        lines = [line for line in str(system.tree()).splitlines() if "user" not in line]
        columns = {name: lines[row].index(name) for row, name in enumerate(["bank", "ada", "x", "bob"])}
        assert len(lines) == 4
        assert columns["bank"] < columns["ada"] == columns["bob"] < columns["x"]
        assert all("Recorder" in line for line in lines)


async def test_the_drawing_tells_who_is_suspended_and_who_is_behind(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        suspended = await system.spawn(Recorder, name="ada", supervision=OneForOne(default=Directive.SUSPEND))
        suspended.tell(Boom(OSError()))
        busy = await system.spawn(Recorder, name="bob")
        for message in (Sleep(1), Note(), Note()):
            busy.tell(message)
        await wait_all_tasks_blocked()
        lines = str(system.tree()).splitlines()
        assert "suspended" in next(line for line in lines if "ada" in line)
        assert "2" in next(line for line in lines if "bob" in line)
        await trio.sleep(2)


async def test_a_tree_can_be_gone_through_and_counted() -> None:
    async with ActorSystem("test") as system:
        refs = await bank(system)
        tree = system.tree()
        assert [node.ref for node in tree][1:] == list(refs.values())
        assert len(tree) == 5
        assert "5" in repr(tree)


# Statistics


async def test_the_figures_of_an_actor(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await spawn_child(ref, Recorder)
        ref.tell(Boom(OSError()))
        ref.tell(Note())
        ref.tell(Sleep(2))
        ref.tell(Note())
        ref.tell(Note())
        await trio.sleep(1)
        figures = ref.statistics()
        assert (figures.failures, figures.restarts, figures.children, figures.depth) == (1, 1, 0, 2)
        assert figures.handled == 3  # spawning the child, the failure, the note
        assert figures.uptime == 1
        await trio.sleep(2)
        assert ref.statistics().handled == 6


async def test_the_figures_of_an_actor_show_its_state_and_its_stash(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=sleeping(1)))
        assert ref.statistics().state.value == "running"
        ref.stop()
        await wait_all_tasks_blocked()
        assert ref.statistics().state.value == "stopping"
        await ref.wait_stopped()
        assert ref.statistics().state.value == "stopped"
        stasher = await system.spawn_func(lambda ctx, msg: ctx.stash())
        stasher.tell(Note())
        await wait_all_tasks_blocked()
        assert stasher.statistics().stashed == 1


async def test_the_figures_of_the_system_add_up(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        refs = await bank(system)
        before = system.statistics()
        refs["x"].tell(Boom(OSError()))
        refs["bob"].tell(Note())
        await wait_all_tasks_blocked()
        refs["bob"].stop()
        await refs["bob"].wait_stopped()
        refs["bob"].tell(Note())
        await trio.sleep(2)
        after = system.statistics()
        assert (before.actors, after.actors) == (4, 3)
        assert after.handled - before.handled == 2  # those of bob too, who has gone
        assert (after.failures, after.restarts, after.dead_letters) == (1, 1, 1)
        assert after.dead_letters_by_reason == {DeadLetterReason.STOPPED: 1}
        assert after.uptime == 2


async def test_a_reply_to_one_that_has_given_up_is_counted(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with trio.move_on_after(1):
            await ref.ask(Do(sleeping(2)))
        await trio.sleep(2)
        assert system.statistics().late_replies == 1
        assert system.statistics().dead_letters == 0


async def test_figures_are_frozen_and_stay_after_the_end(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        assert await ref.ask(Get()) == 0
        await trio.sleep(3)
    figures = system.statistics()
    assert (figures.actors, figures.handled, figures.uptime) == (0, 1, 3)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        figures.handled = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ref.statistics().handled = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
