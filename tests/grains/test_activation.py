"""Activation: a grain is there from its first message on, as whoever its ref says."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Get, Note, Recorder, collected, sleeping, spawn_child
from tests.core.crew import Question, Trouble
from tests.grains.kinds import Plain, Scribe, open_grains, open_scribe
from trioakt import (
    Actor,
    ActorFailedError,
    ActorStarted,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    Directive,
    Grain,
    GrainRef,
    Idle,
    MailboxFullError,
    OneForOne,
    StartError,
    ask_all,
)


async def test_a_ref_alone_starts_nothing() -> None:
    async with open_scribe() as (system, diary, ref):
        await settle()
        assert isinstance(ref, GrainRef)
        assert diary == []
        assert system.statistics().actors == 0


async def test_the_first_message_activates_a_grain_and_is_handled_after_its_pre_start() -> None:
    async with open_scribe() as (_, diary, ref):
        ref.tell("hello")
        await settle()
        assert diary == ["ada starts", "ada hello"]


async def test_a_grain_is_activated_once_however_many_messages_come_at_once() -> None:
    async with open_scribe() as (system, diary, ref):
        for number in range(100):
            system.grain(Scribe, "ada").tell(Note(number))
        assert await ref.ask(Get()) == 100
        assert diary == ["ada starts"]


async def test_messages_that_come_while_it_starts_wait_in_their_order(autojump_clock: MockClock) -> None:
    class Slow(Scribe):
        async def pre_start(self, ctx: Context) -> None:
            await trio.sleep(3)
            await super().pre_start(ctx)

    async with open_grains() as (system, diary):
        ref = system.grain(Slow, "ada")
        ref.tell("one")
        await trio.sleep(1)
        ref.tell("two")
        await trio.sleep(3)
        assert diary == ["ada starts", "ada one", "ada two"]


async def test_asking_sending_and_telling_all_activate() -> None:
    async with open_grains() as (system, diary):
        await system.grain(Scribe, "a").ask(Get())
        await system.grain(Scribe, "b").send("sent")
        system.grain(Scribe, "c").tell("told")
        await settle()
        assert {"a starts", "b starts", "c starts"} < set(diary)


async def test_a_grain_that_tells_itself_while_it_is_made_is_activated_once() -> None:
    refs: list[GrainRef] = []

    class Eager(Scribe):
        def __init__(self) -> None:
            super().__init__()
            while refs:
                refs.pop().tell("while it was made")

    async with open_grains() as (system, diary):
        refs.append(system.grain(Eager, "ada"))
        system.grain(Eager, "ada").tell("first")
        await settle()
        assert sorted(diary) == ["ada first", "ada starts", "ada while it was made"]


async def test_a_grain_knows_who_it_is_and_its_ref_does_too() -> None:
    async with open_scribe() as (_, _, ref):
        assert await ref.ask(Do(lambda ctx: ctx.identity)) == ref.identity == "ada"
        assert ref.kind.endswith("Scribe")


async def test_an_actor_that_is_no_grain_has_no_identity() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: ctx.reply(ctx.identity))
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask("who are you?")
        assert isinstance(caught.value.__cause__, RuntimeError)


async def test_thousand_grains_are_activated_at_once(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _):
        with collected(system, ActorStarted) as started:
            refs = [system.grain(Plain, f"user-{number}") for number in range(1000)]
            answers = await ask_all(refs, Question("hi"))
        assert answers == [(ref.identity, Question("hi")) for ref in refs]
        assert {event.ref for event in started} >= set(refs)
        await trio.sleep(11)
        assert not any(isinstance(actor, GrainRef) for actor in system.actors())


async def test_two_grains_work_at_the_same_time(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _):
        began = trio.current_time()
        nap = Do(sleeping(5))
        await ask_all([system.grain(Scribe, name) for name in "abc"], nap)
        assert trio.current_time() - began == pytest.approx(5)


async def test_one_grain_handles_one_message_at_a_time(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref), trio.open_nursery() as nursery:

        async def nap(ctx: Context) -> None:
            diary.append("begins")
            await trio.sleep(1)
            diary.append("is over")

        for _ in range(2):
            nursery.start_soon(ref.ask, Do(nap))
        await trio.sleep(3)
        assert diary[1:] == ["begins", "is over"] * 2


# ------------------------------------------------------------------------------------------------ who is who


async def test_refs_are_equal_by_kind_and_identity_and_system() -> None:
    async with ActorSystem("one") as one, ActorSystem("two") as two:
        ada = one.grain(Plain, "ada")
        assert ada == one.grain(Plain, "ada")
        assert hash(ada) == hash(one.grain(Plain, "ada"))
        assert ada != one.grain(Plain, "bob")
        assert ada != one.grain(Scribe, "ada")
        assert ada != two.grain(Plain, "ada")


async def test_grains_of_the_same_identity_and_another_kind_are_others() -> None:
    async with open_grains() as (system, _):
        system.grain(Scribe, "ada").tell(Note())
        assert await system.grain(Plain, "ada").ask("hi") == ("ada", "hi")
        assert await system.grain(Scribe, "ada").ask(Get()) == 1


async def test_two_systems_have_grains_of_their_own() -> None:
    async with open_grains("one") as (one, _), open_grains("two") as (two, _):
        one.grain(Scribe, "ada").tell(Note())
        assert await one.grain(Scribe, "ada").ask(Get()) == 1
        assert await two.grain(Scribe, "ada").ask(Get()) == 0


ODD = [
    "a/b",
    "/",
    "..",
    "a b",
    "$user",
    "user/$grains",
    "line\nbreak",
    "tab\t",
    "%2F",
    "?q#f",
    "trioakt://test/user/a",
    "ünïcödé",
    "日本",
    "\N{PILE OF POO}",
    "\u202ebackwards",
    " ",
    "x" * 255,
]


@pytest.mark.parametrize("identity", ODD)
async def test_any_text_is_an_identity(identity: str) -> None:
    async with open_grains() as (system, _):
        ref = system.grain(Plain, identity)
        assert await ref.ask("hi") == (identity, "hi")
        assert ref.identity == identity
        assert "\n" not in f"{ref!r} {ref.address} {ref.path} {ref.name}"


@pytest.mark.parametrize("identity", ODD)
async def test_a_tree_with_any_identity_in_it_has_a_line_for_each_actor(identity: str) -> None:
    async with open_grains() as (system, _):
        ref = system.grain(Scribe, identity)
        await spawn_child(ref, Recorder, "child")
        assert len(str(system.tree()).splitlines()) == 4  # the root, the parent of the kind, the grain, the child


@pytest.mark.parametrize("identity", ODD)
async def test_a_child_of_a_grain_with_any_identity_is_an_actor_like_others(identity: str) -> None:
    async with open_grains() as (system, _):
        child = await spawn_child(system.grain(Scribe, identity), Recorder, "child")
        assert child.name == "child"
        assert "\n" not in f"{child!r} {child.path} {child.address}"
        child.stop()
        await child.wait_stopped()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)))
def test_different_identities_are_different_grains(identities: list[str]) -> None:
    async def check() -> None:
        async with ActorSystem("test") as system:
            refs = [system.grain(Plain, identity) for identity in identities]
            assert len(set(refs)) == len({ref.address for ref in refs}) == len(set(identities))
            answers = [(await ref.ask(1))[0] for ref in refs]
            assert answers == identities
            assert system.statistics().actors == len(set(identities)) + bool(identities)

    trio.run(check)


@pytest.mark.parametrize("identity", ["", "x" * 256, "nul\0", "lone \ud800 surrogate"])
async def test_a_bad_identity_is_refused(identity: str) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="identity"):
            system.grain(Plain, identity)


@pytest.mark.parametrize("identity", [7, None, b"ada", ("ada",)])
async def test_an_identity_that_is_no_text_is_refused(identity: Any) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError, match="identity"):
            system.grain(Plain, identity)


# ------------------------------------------------------------------------------------------------ what a kind is


class Ordinary(Actor):
    """No grain."""


@pytest.mark.parametrize("kind", [Ordinary, Plain(), "Plain", None, lambda: Plain(), [Plain]])
async def test_what_is_no_class_of_grains_is_refused(kind: Any) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError, match="Grain class"):
            system.grain(kind, "ada")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"passivation": Idle(1.0)}, TypeError),
        ({"nonsense": 1}, TypeError),
        ({"mailbox": 7}, TypeError),
        ({"supervision": "restart"}, TypeError),
        ({"reentrancy": True}, TypeError),
        ({"init_timeout": -1.0}, ValueError),
        ({"stash_capacity": 0}, ValueError),
        ({"stop_grace": math.nan}, ValueError),
        (7, TypeError),
    ],
)
async def test_a_bad_option_is_refused_where_the_ref_is_made(options: Any, error: type[Exception]) -> None:
    class Bad(Grain):
        pass

    Bad.options = options
    async with ActorSystem("test") as system:
        for _ in range(2):
            with pytest.raises(error):
                system.grain(Bad, "ada")


@pytest.mark.parametrize("passivation", [300, "never", Idle])
async def test_a_bad_passivation_is_refused_where_the_ref_is_made(passivation: Any) -> None:
    class Bad(Grain):
        pass

    Bad.passivation = passivation
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError, match="passivation"):
            system.grain(Bad, "ada")


async def test_the_options_of_the_class_are_those_of_its_grains(autojump_clock: MockClock) -> None:
    class Small(Scribe):
        options: ClassVar[Any] = {"mailbox": Bounded(2)}

    async with open_grains() as (system, _):
        ref = system.grain(Small, "ada")
        ref.tell(Note())
        ref.tell(Note())
        with pytest.raises(MailboxFullError):
            ref.tell(Note())


def twin() -> type[Grain]:
    """Make a class that has the name of another one."""

    class Twin(Plain):
        pass

    return Twin


async def test_another_class_of_the_same_name_is_refused_and_the_first_goes_on() -> None:
    first, second = twin(), twin()
    async with ActorSystem("test") as system:
        ref = system.grain(first, "ada")
        with pytest.raises(TypeError, match="Twin"):
            system.grain(second, "ada")
        assert await ref.ask("hi") == ("ada", "hi")


# ------------------------------------------------------------------------------------------------ starts that fail


class Reluctant(Scribe):
    """Raises in its first ``pre_start`` of all."""

    tries: ClassVar[list[str]] = []

    async def pre_start(self, ctx: Context) -> None:
        self.tries.append(ctx.identity)
        if len(self.tries) == 1:
            raise Trouble
        await super().pre_start(ctx)


class Clumsy(Scribe):
    """Raises when it is made for the first time."""

    tries: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.tries.append("made")
        if len(self.tries) == 1:
            raise Trouble


@pytest.mark.parametrize("kind", [Reluctant, Clumsy])
async def test_a_start_that_raises_fails_the_ask_with_its_exception_and_the_next_message_tries_again(
    kind: type[Reluctant] | type[Clumsy],
) -> None:
    kind.tries.clear()
    async with open_grains() as (system, _):
        ref = system.grain(kind, "ada")
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Get())
        assert isinstance(caught.value.__cause__, Trouble)
        assert await ref.ask(Get()) == 0
        assert len(kind.tries) == 2


@pytest.mark.parametrize("kind", [Reluctant, Clumsy])
async def test_a_message_told_to_a_grain_that_cannot_start_is_a_dead_letter(
    kind: type[Reluctant] | type[Clumsy],
) -> None:
    kind.tries.clear()
    async with open_grains() as (system, diary):
        with collected(system, DeadLetter) as letters:
            ref = system.grain(kind, "ada")
            ref.tell("lost")
            await settle()
            ref.tell("found")
            await settle()
        assert [(letter.message, letter.recipient) for letter in letters] == [("lost", ref)]
        assert diary == ["ada starts", "ada found"]


async def test_sending_to_a_grain_that_cannot_be_made_raises() -> None:
    Clumsy.tries.clear()
    async with open_grains() as (system, diary):
        ref = system.grain(Clumsy, "ada")
        with pytest.raises(StartError) as caught:
            await ref.send("refused")
        assert isinstance(caught.value.__cause__, Trouble)
        await ref.send("taken")
        await settle()
        assert diary == ["ada starts", "ada taken"]


async def test_a_start_that_fails_is_no_matter_of_the_whole_system() -> None:
    class Hopeless(Grain):
        supervision = OneForOne(default=Directive.ESCALATE)

        def pre_start(self, ctx: Context) -> None:
            raise Trouble

    async with open_grains() as (system, _):
        for _ in range(50):
            with pytest.raises(ActorFailedError):
                await system.grain(Hopeless, "ada").ask("there?")
        assert await system.grain(Plain, "ada").ask("there?") == ("ada", "there?")


class Hanging(Scribe):
    """Never gets through its first ``pre_start``."""

    options: ClassVar[Any] = {"init_timeout": 2.0}
    tries: ClassVar[list[str]] = []

    async def pre_start(self, ctx: Context) -> None:
        self.tries.append(ctx.identity)
        if len(self.tries) == 1:
            await trio.sleep_forever()
        await super().pre_start(ctx)


async def test_a_start_that_hangs_is_given_up_and_tried_again_by_the_next_message(autojump_clock: MockClock) -> None:
    Hanging.tries.clear()
    async with open_grains() as (system, _):
        ref = system.grain(Hanging, "ada")
        began = trio.current_time()
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Get())
        assert isinstance(caught.value.__cause__, trio.TooSlowError)
        assert trio.current_time() - began == pytest.approx(2)
        assert await ref.ask(Get()) == 0


async def test_a_grain_that_is_killed_while_it_starts_answers_with_that_and_is_there_for_the_next_message(
    autojump_clock: MockClock,
) -> None:
    Hanging.tries.clear()
    async with open_grains() as (system, _), trio.open_nursery() as nursery:
        ref = system.grain(Hanging, "ada")

        async def ask_in_vain() -> None:
            with pytest.raises((ActorStoppedError, ActorFailedError)):
                await ref.ask(Get())

        nursery.start_soon(ask_in_vain)
        await trio.sleep(1)
        ref.kill()
        assert await ref.ask(Get()) == 0


async def test_an_asker_that_gives_up_during_the_start_leaves_the_grain_to_the_next_one(
    autojump_clock: MockClock,
) -> None:
    class Slow(Scribe):
        async def pre_start(self, ctx: Context) -> None:
            await trio.sleep(3)
            await super().pre_start(ctx)

    async with open_grains() as (system, diary):
        ref = system.grain(Slow, "ada")
        with trio.move_on_after(1):
            await ref.ask(Do(lambda ctx: diary.append("must not be handled")))
        assert await ref.ask(Get()) == 0
        assert diary == ["ada starts"]


async def test_a_system_that_is_cancelled_while_grains_start_leaves_at_once(autojump_clock: MockClock) -> None:
    Hanging.tries.clear()
    with trio.move_on_after(1) as scope:
        async with open_grains() as (system, _):
            system.grain(Hanging, "ada").tell(Note())
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(1)
