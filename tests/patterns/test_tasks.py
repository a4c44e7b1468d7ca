"""Supervised tasks: plain async functions as members of a supervision tree."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Recorder, collected
from tests.core.crew import Trouble, WorseTrouble, what_leaves
from trioakt import (
    Actor,
    ActorFailed,
    ActorRestarted,
    ActorStopped,
    ActorSystem,
    Backoff,
    Context,
    DeadLetter,
    Directive,
    NameTakenError,
    OneForAll,
    OneForOne,
    RestForOne,
    Terminated,
    TerminationCause,
)
from trioakt.patterns.tasks import TaskRestart, TaskReturnedError


class Job:
    """An async function that writes down its runs, waits a second, and then does what is next on its list."""

    def __init__(self, *steps: Exception | None, name: str = "job", diary: list[str] | None = None) -> None:
        self.steps = list(steps)
        self.name = name
        self.diary = [] if diary is None else diary

    async def __call__(self) -> None:
        self.diary.append(f"{self.name} runs")
        try:
            await trio.sleep(1)
            if not self.steps:
                await trio.sleep_forever()
            if step := self.steps.pop(0):
                raise step
            self.diary.append(f"{self.name} returns")
        except trio.Cancelled:
            self.diary.append(f"{self.name} is cancelled")
            raise


async def test_a_task_runs_with_its_arguments() -> None:
    seen: list[object] = []

    async def note(first: int, second: str) -> None:
        seen.append((first, second))

    async with ActorSystem("test") as system:
        ref = await system.spawn_task(note, 1, "two", restart="transient", name="note")
        assert ref.name == "note"
        await ref.wait_stopped()
        assert seen == [(1, "two")]


async def test_a_task_without_a_name_is_named_after_its_function() -> None:
    async def collect_rubbish() -> None:
        await trio.sleep_forever()

    async with ActorSystem("test") as system:
        ref = await system.spawn_task(collect_rubbish)
        assert "collect_rubbish" in ref.name


async def test_a_permanent_task_runs_again_when_it_raises_and_when_it_returns(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        job = Job(Trouble(), None)
        with collected(system, ActorFailed) as failures:
            ref = await system.spawn_task(job)
            await trio.sleep(10)
        assert job.diary == ["job runs", "job runs", "job returns", "job runs"]
        assert [type(failure.failure.exception) for failure in failures] == [Trouble, TaskReturnedError]
        assert ref.is_alive


async def test_a_transient_task_runs_again_when_it_raises_and_ends_when_it_returns(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        job = Job(Trouble(), None)
        with collected(system, ActorStopped) as ends:
            ref = await system.spawn_task(job, restart="transient")
            await ref.wait_stopped()
        assert job.diary == ["job runs", "job runs", "job returns"]
        assert [end.cause for end in ends] == [TerminationCause.STOPPED]
        assert trio.current_time() == pytest.approx(2.0)


@pytest.mark.parametrize(("step", "cause"), [(None, "STOPPED"), (Trouble(), "FAILED")])
async def test_a_temporary_task_is_never_run_again(
    step: Exception | None, cause: str, autojump_clock: MockClock
) -> None:
    async with ActorSystem("test") as system:
        job = Job(step)
        with collected(system, ActorStopped) as ends:
            ref = await system.spawn_task(job, restart="temporary")
            await ref.wait_stopped()
        assert job.diary.count("job runs") == 1
        assert [end.cause.name for end in ends] == [cause]


async def test_a_task_that_keeps_failing_leaves_the_block(autojump_clock: MockClock) -> None:
    job = Job(*(Trouble(number) for number in range(9)))

    async def body(system: ActorSystem) -> None:
        await system.spawn_task(job)

    assert [error.args for error in await what_leaves(body, OneForOne())] == [(3,)]
    assert job.diary == ["job runs"] * 4


async def test_a_task_that_keeps_returning_leaves_the_block_as_an_error_that_says_so(autojump_clock: MockClock) -> None:
    async def body(system: ActorSystem) -> None:
        await system.spawn_task(Job(None, None, None, None), name="pump")

    (error,) = await what_leaves(body, OneForOne())
    assert isinstance(error, TaskReturnedError)
    assert "/user/pump" in str(error)


async def test_a_task_that_always_fails_at_once_does_not_starve_the_rest() -> None:
    async def fail() -> None:
        raise Trouble

    async with ActorSystem("test", supervision=OneForOne(max_restarts=None)) as system:
        ref = await system.spawn_task(fail)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        ref.kill()
        await ref.wait_stopped()


async def test_a_task_has_its_own_supervision_and_backs_off(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        strategy = OneForOne(max_restarts=None, backoff=Backoff(initial=1.0, factor=2.0, maximum=60.0, jitter=0.0))
        with collected(system, ActorRestarted) as restarts:
            await system.spawn_task(Job(*(Trouble() for _ in range(5))), supervision=strategy)
            await trio.sleep(100)
        assert [restart.at for restart in restarts] == [2.0, 5.0, 10.0, 19.0, 36.0]


async def test_the_rules_of_the_parent_hold_for_tasks(autojump_clock: MockClock) -> None:
    strategy = OneForOne({WorseTrouble: Directive.STOP})
    async with ActorSystem("test", supervision=strategy) as system:
        job = Job(Trouble(), WorseTrouble())
        ref = await system.spawn_task(job)
        await ref.wait_stopped()
        assert job.diary == ["job runs", "job runs"]


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_a_stop_cancels_the_task(restart: TaskRestart) -> None:
    async with ActorSystem("test") as system:
        job = Job()
        ref = await system.spawn_task(job, restart=restart)
        await settle()
        ref.stop()
        await ref.wait_stopped()
        assert job.diary == ["job runs", "job is cancelled"]
        assert system.statistics().failures == 0


async def test_leaving_the_system_cancels_its_tasks() -> None:
    jobs = [Job() for _ in range(3)]
    async with ActorSystem("test") as system:
        for job in jobs:
            await system.spawn_task(job)
        await settle()
    assert all(job.diary == ["job runs", "job is cancelled"] for job in jobs)


async def test_a_task_that_cleans_up_has_the_grace_of_a_stop(autojump_clock: MockClock) -> None:
    cleaned: list[float] = []

    async def tidy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await trio.sleep(1)
            cleaned.append(trio.current_time())

    async with ActorSystem("test") as system:
        ref = await system.spawn_task(tidy)
        await settle()
        ref.stop()
        await ref.wait_stopped()
        assert cleaned == [1.0]


async def test_a_watcher_hears_of_the_end_of_a_task(autojump_clock: MockClock) -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn_task(Job(Trouble("ouch")), restart="temporary")
        watcher = await system.spawn(Recorder, heard)
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        await trio.sleep(2)
        (terminated,) = heard
        assert isinstance(terminated, Terminated)
        assert terminated.failure is not None
        assert terminated.failure.text == "ouch"


async def test_tasks_in_a_group_start_again_together(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        await system.spawn_task(Job(name="a", diary=diary))
        await system.spawn_task(Job(Trouble(), name="b", diary=diary))
        await trio.sleep(10)
        assert sorted(diary[:2]) == ["a runs", "b runs"]
        assert diary[2] == "a is cancelled"
        assert sorted(diary[3:]) == ["a runs", "b runs"]


async def test_a_supervisor_of_tasks_is_an_actor_with_a_strategy(autojump_clock: MockClock) -> None:
    class Pipeline(Actor):
        supervision = RestForOne()

        async def pre_start(self, ctx: Context) -> None:
            for job in jobs:
                await ctx.spawn_task(job, name=job.name)

    diary: list[str] = []
    jobs = [
        Job(name="reader", diary=diary),
        Job(Trouble(), name="parser", diary=diary),
        Job(name="writer", diary=diary),
    ]
    async with ActorSystem("test") as system:
        pipeline = await system.spawn(Pipeline, name="pipeline")
        await trio.sleep(5)
        assert {name: diary.count(f"{name} runs") for name in ("reader", "parser", "writer")} == {
            "reader": 1,
            "parser": 2,
            "writer": 2,
        }
        assert [ref.name for ref in system.actors() if ref.path.startswith("/user/pipeline/")] == [
            "reader",
            "parser",
            "writer",
        ]
        pipeline.stop()
        await pipeline.wait_stopped()
        assert diary.count("reader is cancelled") == 1


async def test_a_failure_climbs_from_a_task_through_its_supervisors(autojump_clock: MockClock) -> None:
    class Team(Actor):
        supervision = OneForOne(max_restarts=1)

        async def pre_start(self, ctx: Context) -> None:
            await ctx.spawn_task(job)

    job = Job(*(Trouble(number) for number in range(4)))
    async with ActorSystem("test") as system:
        team = await system.spawn(Team)
        await trio.sleep(20)
        assert team.statistics().restarts == 2
        assert job.diary == ["job runs"] * 5


async def test_a_task_handles_no_messages() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_task(Job())
        with collected(system, DeadLetter) as letters:
            ref.tell("hello?")
            await settle()
        assert [letter.message for letter in letters] == ["hello?"]


async def test_names_of_tasks_are_names_of_children() -> None:
    async with ActorSystem("test") as system:
        await system.spawn_task(Job(), name="job")
        with pytest.raises(NameTakenError):
            await system.spawn(Recorder, name="job")
        assert system.actor("job") is not None


async def test_a_misspelt_restart_is_refused() -> None:
    restart: Any = "always"
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="permanent, transient, temporary"):
            await system.spawn_task(Job(), restart=restart)
        assert system.actors() == ()


async def test_what_cannot_be_called_is_refused() -> None:
    fn: Any = "not a function"
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError):
            await system.spawn_task(fn)


async def test_a_temporary_task_takes_no_supervision() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="supervision"):
            await system.spawn_task(Job(), restart="temporary", supervision=OneForOne())


async def test_a_function_that_is_not_async_is_a_failure_that_says_so() -> None:
    def plain() -> Any:
        return None

    async def body(system: ActorSystem) -> None:
        await system.spawn_task(plain)

    (error,) = await what_leaves(body, OneForOne(max_restarts=0))
    assert isinstance(error, TypeError)
