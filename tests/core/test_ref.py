"""Refs: what they name, when they are equal, and what they refuse."""

from __future__ import annotations

import copy
import pickle

import pytest
from trio.testing import wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, collected, spawn_child
from trioakt import ActorRef, ActorSystem, DeadLetter


async def test_a_ref_has_name_path_and_address() -> None:
    async with ActorSystem("bank") as system:
        parent = await system.spawn(Recorder, name="accounts")
        ref = await spawn_child(parent, Recorder, "ada")
        assert (ref.name, ref.path, str(ref.address)) == (
            "ada",
            "/user/accounts/ada",
            "trioakt://bank/user/accounts/ada",
        )
        assert str(system.address) == "trioakt://bank"
        assert str(ref.address) in repr(ref)


async def test_two_refs_of_one_actor_are_equal_and_have_one_hash() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name="ada")
        again = system.actor("ada")
        own: ActorRef = await ref.ask(Do(lambda ctx: ctx.self))
        assert again is not None
        assert ref == again == own
        assert len({ref, again, own}) == 1


async def test_refs_of_different_actors_are_not_equal_nor_is_anything_else() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name="ada")
        other = await system.spawn(Recorder, name="bob")
        assert ref != other
        assert ref != ref.path
        assert ref != None  # noqa: E711
        assert ref not in (1, "ada", object())


async def test_actors_of_two_systems_are_never_the_same() -> None:
    async with ActorSystem("test") as one, ActorSystem("test") as two:
        assert await one.spawn(Recorder, name="ada") != await two.spawn(Recorder, name="ada")


async def test_a_ref_names_one_spawn_and_not_its_successor_of_the_same_name() -> None:
    async with ActorSystem("test") as system:
        old = await system.spawn(Recorder, name="ada")
        old.stop()
        await old.wait_stopped()
        new = await system.spawn(Recorder, name="ada")
        assert old != new
        assert old.path == new.path
        assert not old.is_alive
        with collected(system, DeadLetter) as letters:
            old.tell(Note(1))
        assert [letter.recipient for letter in letters] == [old]
        assert await new.ask(Get()) == 0
        await old.wait_stopped()
        old.stop()
        old.kill()
        await wait_all_tasks_blocked()
        assert new.is_alive


async def test_a_restart_keeps_the_ref() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name="ada")
        ref.tell(Boom(OSError()))
        assert await ref.ask(Do(lambda ctx: ctx.self)) == ref
        assert system.actor("ada") == ref


async def test_a_ref_is_good_as_a_key_after_its_actor_has_gone() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        table = {ref: 1}
        ref.stop()
        await ref.wait_stopped()
    assert table[ref] == 1
    assert ref.path in repr(ref)


async def test_a_ref_cannot_be_pickled_and_the_error_says_why() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(ref)
        with pytest.raises(TypeError):
            copy.deepcopy(ref)


async def test_a_ref_travels_in_a_message() -> None:
    async with ActorSystem("test") as system:
        kept = await system.spawn(Recorder)
        postman = await system.spawn_func(lambda ctx, ref: ref.tell(Note(1)))
        postman.tell(kept)
        await wait_all_tasks_blocked()
        assert await kept.ask(Get()) == 1


async def test_nothing_can_be_hung_on_a_ref() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(AttributeError):
            ref.color = "red"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
