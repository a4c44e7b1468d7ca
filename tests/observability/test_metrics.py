from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
from opentelemetry.sdk.metrics.export import HistogramDataPoint
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Echo, Get, Note, Recorder, Sleep, hang
from tests.observability.watching import Figures
from trioakt import ActorFailedError, ActorSystem, Bounded, Context, MailboxFullError, OneForOne, ask_all
from trioakt.lowlevel import UnboundedQueue
from trioakt.observability import Metrics
from trioakt.supervision import Directive


def measured(figures: Figures, name: str = "bank", **options: Any) -> ActorSystem:
    return ActorSystem(name, extensions=[Metrics(figures.provider)], **options)


def kill_all(system: ActorSystem) -> None:
    for ref in system.actors():
        ref.kill()


async def test_messages_are_counted_by_kind_and_system() -> None:
    figures = Figures()
    async with measured(figures, "one") as one, measured(figures, "two") as two:
        for system, count in (one, 3), (two, 5):
            ref = await system.spawn(Recorder)
            for _ in range(count):
                ref.tell(Note())
        await (await one.spawn(Echo)).ask("hello")
        await settle()
        assert figures.values("trioakt.actor.handled") == {
            ("Recorder", "one"): 3,
            ("Recorder", "two"): 5,
            ("Echo", "one"): 1,
        }
        assert figures.values("trioakt.actors") == {("Recorder", "one"): 1, ("Recorder", "two"): 1, ("Echo", "one"): 1}


async def test_the_figures_of_many_actors_of_a_kind_are_one_series() -> None:
    figures = Figures()
    async with measured(figures) as system:
        for _ in range(100):
            (await system.spawn(Recorder)).tell(Note())
        await settle()
        assert figures.values("trioakt.actor.handled") == {("Recorder", "bank"): 100}
        assert figures.values("trioakt.actors") == {("Recorder", "bank"): 100}
    assert figures.values("trioakt.actors") == {("Recorder", "bank"): 0}


async def test_handling_is_measured_in_seconds_and_by_what_failed(autojump_clock: MockClock) -> None:
    figures = Figures()
    async with measured(figures) as system:
        ref = await system.spawn(Recorder)
        for msg in Sleep(2.5), Sleep(0.5), Boom(ValueError()):
            ref.tell(msg)
        await trio.sleep(10)
    points = figures.points("trioakt.actor.handling.duration")
    went_well, failed = points["Recorder", "bank"], points["ValueError", "Recorder", "bank"]
    assert isinstance(went_well, HistogramDataPoint)
    assert isinstance(failed, HistogramDataPoint)
    assert (went_well.count, went_well.sum, went_well.max) == (2, 3.0, 2.5)
    assert (failed.count, failed.sum) == (1, 0.0)
    assert went_well.explicit_bounds[0] == pytest.approx(1e-5)


async def test_asks_are_counted_and_measured_by_their_outcome(autojump_clock: MockClock) -> None:
    figures = Figures()
    async with measured(figures) as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: None))
        with pytest.raises(ActorFailedError):
            await ref.ask(Boom(ValueError()))
        with trio.move_on_after(3):
            await ref.ask(Sleep(5))
    assert figures.values("trioakt.asks") == {
        ("Recorder", "replied", "bank"): 1,
        ("Recorder", "failed", "bank"): 1,
        ("Recorder", "given_up", "bank"): 1,
    }
    waited = figures.points("trioakt.ask.duration")
    assert set(waited) == {
        ("Recorder", "replied", "bank"),
        ("trioakt.errors.ActorFailedError", "Recorder", "failed", "bank"),
        ("Recorder", "given_up", "bank"),
    }
    given_up = waited["Recorder", "given_up", "bank"]
    assert isinstance(given_up, HistogramDataPoint)
    assert given_up.sum == 3.0


async def test_an_ask_of_several_is_counted_once_though_it_found_no_room() -> None:
    figures = Figures()
    async with measured(figures) as system:
        free, full = await system.spawn(Echo), await system.spawn(Recorder, mailbox=Bounded(1))
        full.tell(Do(hang))
        await settle()
        full.tell(Note())
        with pytest.raises(MailboxFullError):
            await ask_all([free, full], Get())
        kill_all(system)
    assert figures.values("trioakt.asks") == {("Echo", "given_up", "bank"): 1, ("Recorder", "failed", "bank"): 1}


async def test_a_router_and_its_routees_are_two_kinds() -> None:
    figures = Figures()
    async with measured(figures) as system:
        router = await system.spawn_router(Echo, size=3)
        for _ in range(6):
            await router.ask("hello")
        assert figures.values("trioakt.actors") == {("Echo", "bank"): 3, ("router", "bank"): 1}
        assert figures.values("trioakt.actor.handled") == {("Echo", "bank"): 6, ("router", "bank"): 6}


async def test_restarts_and_dead_letters_are_counted() -> None:
    figures = Figures()
    async with measured(figures, supervision=OneForOne(max_restarts=10)) as system:
        ref = await system.spawn(Recorder)
        for _ in range(3):
            ref.tell(Boom(ValueError()))
        await settle()
        ref.tell(Do(Context.unhandled))
        await settle()
        ref.stop()
        await ref.wait_stopped()
        ref.tell("late")
        ref.tell("late")
        assert figures.values("trioakt.actor.restarts") == {("Recorder", "bank"): 3}
        assert figures.values("trioakt.dead_letters") == {("unhandled", "bank"): 1, ("stopped", "bank"): 2}


async def test_what_waits_in_mailboxes_is_read_when_it_is_collected() -> None:
    figures = Figures()
    async with measured(figures) as system:
        for _ in range(2):
            ref = await system.spawn(Recorder)
            ref.tell(Do(hang))
            for _ in range(10):
                ref.tell(Note())
        await settle()
        assert figures.values("trioakt.mailbox.depth") == {("Recorder", "bank"): 20}
        kill_all(system)
    assert figures.values("trioakt.mailbox.depth") == {}


async def test_figures_outlive_their_system_and_the_next_one_of_the_name_goes_on_with_them() -> None:
    figures = Figures()
    for expected in 1, 2:
        async with measured(figures) as system:
            (await system.spawn(Recorder)).tell(Note())
            await settle()
        assert figures.values("trioakt.actor.handled") == {("Recorder", "bank"): expected}


async def test_without_durations_everything_else_is_still_measured() -> None:
    figures = Figures()
    async with ActorSystem("bank", extensions=[Metrics(figures.provider, durations=False)]) as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: None))
        ref.tell(Boom(ValueError()))
        await settle()
    assert figures.values("trioakt.actor.handled") == {("Recorder", "bank"): 2}
    assert figures.values("trioakt.asks") == {("Recorder", "replied", "bank"): 1}
    assert figures.points("trioakt.actor.handling.duration") == figures.points("trioakt.ask.duration") == {}


async def test_a_failure_of_an_actor_that_is_stopped_is_no_restart() -> None:
    figures = Figures()
    async with measured(figures, supervision=OneForOne(default=Directive.STOP)) as system:
        ref = await system.spawn(Recorder)
        ref.tell(Boom(ValueError()))
        await ref.wait_stopped()
    assert figures.values("trioakt.actor.restarts") == {("Recorder", "bank"): 0}
    assert figures.values("trioakt.actors") == {("Recorder", "bank"): 0}


async def test_kinds_without_end_share_a_series_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.observability.metrics._MOST_KINDS", 3)
    figures = Figures()
    async with measured(figures) as system:
        for number in range(10):
            (await system.spawn(type(f"Kind{number}", (Recorder,), {}))).tell(Note())
        await settle()
        assert figures.values("trioakt.actor.handled") == {
            ("Kind0", "bank"): 1,
            ("Kind1", "bank"): 1,
            ("Kind2", "bank"): 1,
            ("_other", "bank"): 7,
        }
        assert figures.values("trioakt.actors")["_other", "bank"] == 7


async def test_one_metrics_measures_one_system_at_a_time() -> None:
    metrics = Metrics(Figures().provider)
    async with ActorSystem("one", extensions=[metrics]):
        with pytest.raises(RuntimeError, match="measure 'one'"):
            async with ActorSystem("two", extensions=[metrics]):
                pytest.fail("it was opened")
    async with ActorSystem("two", extensions=[metrics]):
        pass


async def test_without_a_provider_the_global_one_is_used_and_without_an_sdk_nothing_is_measured() -> None:
    async with ActorSystem("bank", extensions=[Metrics()]) as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: None))


# Other threads


async def test_another_thread_may_collect_while_the_system_works() -> None:
    figures = Figures()
    async with measured(figures) as system:
        for _ in range(1_200):  # several steps of the survey
            (await system.spawn(Recorder)).tell(Do(hang))
        (await system.spawn(Echo)).tell("hello")
        await settle()
        depths = await trio.to_thread.run_sync(figures.values, "trioakt.mailbox.depth")
        assert depths == {("Recorder", "bank"): 0, ("Echo", "bank"): 0}
        for ref in system.actors():
            ref.tell(Note())
        depths = await trio.to_thread.run_sync(figures.values, "trioakt.mailbox.depth")
        assert depths == {("Recorder", "bank"): 1_200, ("Echo", "bank"): 0}
        kill_all(system)


async def test_a_loop_that_is_held_up_gives_another_thread_what_was_last_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.observability.survey._PATIENCE", 0.05)
    figures = Figures()
    seen: list[dict[tuple[str, ...], float]] = []
    async with measured(figures) as system:
        ref = await system.spawn(Recorder)
        ref.tell(Do(hang))
        ref.tell(Note())
        await settle()
        assert figures.values("trioakt.mailbox.depth") == {("Recorder", "bank"): 1}
        ref.tell(Note())
        collector = threading.Thread(target=lambda: seen.append(figures.values("trioakt.mailbox.depth")))
        collector.start()
        collector.join()  # as an exporter does that is shut down in the thread of the loop
        kill_all(system)
    assert seen == [{("Recorder", "bank"): 1}]


class BrokenQueue(UnboundedQueue):
    """Does not always know how long it is."""

    broken = False

    def __len__(self) -> int:
        if self.broken:
            raise RuntimeError
        return super().__len__()


async def test_a_mailbox_that_breaks_when_it_is_looked_at_does_not_break_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = Figures()
    async with measured(figures) as system:
        ref = await system.spawn(Recorder, mailbox=BrokenQueue)
        ref.tell(Do(hang))
        await settle()
        with monkeypatch.context() as patch:
            patch.setattr(BrokenQueue, "broken", True)
            depths = await trio.to_thread.run_sync(figures.values, "trioakt.mailbox.depth")
        assert depths == {("Recorder", "bank"): 0}
        kill_all(system)


def test_a_loop_that_ends_while_it_is_looked_at_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.observability.survey._STEP", 1)
    figures = Figures()
    collector = threading.Thread(target=lambda: figures.values("trioakt.mailbox.depth"))

    async def main() -> None:
        async with measured(figures) as system:
            for _ in range(100):
                await system.spawn(Recorder)
            collector.start()
            await trio.sleep(0.001)

    trio.run(main)
    collector.join()


async def test_a_look_that_takes_longer_is_there_for_the_next_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.observability.survey._PATIENCE", 0.0)
    figures = Figures()
    async with measured(figures) as system:
        ref = await system.spawn(Recorder)
        ref.tell(Do(hang))
        ref.tell(Note())
        await settle()
        with trio.fail_after(30):
            while not (depths := await trio.to_thread.run_sync(figures.values, "trioakt.mailbox.depth")):
                await trio.lowlevel.checkpoint()
        assert depths == {("Recorder", "bank"): 1}
        kill_all(system)


def test_collecting_after_the_loop_has_ended_is_harmless() -> None:
    figures = Figures()

    async def main() -> None:
        async with measured(figures) as system:
            (await system.spawn(Recorder)).tell(Note())
            await settle()

    trio.run(main)
    assert figures.values("trioakt.actor.handled") == {("Recorder", "bank"): 1}
    assert figures.values("trioakt.mailbox.depth") == {}
