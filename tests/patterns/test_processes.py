"""Pipes through worker processes: what comes back, whatever becomes of the process, and that none is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.core.actors import Boom, Do, Recorder
from tests.patterns import errands
from tests.patterns.pipes import Got, worker_and_probe
from trioakt import ActorRef, ActorRestarted, CircuitBreaker, CircuitState, Context, Idle, PipeFailed
from trioakt.patterns.processes import open_worker
from trioakt.testing import Probe

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds in which a process has started and has done something, on however slow a machine."""


async def pipe(worker: ActorRef, ref: ActorRef, fn: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Let the worker pipe from a process."""
    await worker.ask(Do(lambda ctx: ctx.pipe_process_to(ref, fn, *args, **options)))


async def received(probe: Probe, kind: type[Any]) -> Any:
    """Return the next message."""
    return await probe.expect(kind, within=PATIENCE)


@pytest.fixture
def number(tmp_path: Path) -> Path:
    """Make a named pipe through which an errand tells the number of a process."""
    os.mkfifo(tmp_path / "number")
    return tmp_path / "number"


async def told(number: Path) -> int:
    """Wait for the number of a process."""
    return int(await trio.to_thread.run_sync(number.read_text))


async def gone(process: int) -> None:
    """Wait until a process has ended."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        with trio.fail_after(PATIENCE):
            await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def fail(ref: ActorRef) -> None:
    """Let an actor fail."""
    ref.tell(Boom(OSError()))


# What comes back


async def test_the_result_is_told_with_the_actor_as_sender() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.double, 21)
        assert await received(probe, int) == 42
        assert probe.last_sender == worker


async def test_a_wrapper_makes_the_message_out_of_the_result() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.double, 21, wrap=Got)
        assert await received(probe, Got) == Got(42)


async def test_large_arguments_and_results_arrive_whole() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, bytes.upper, b"abc" * 1_000_000)
        assert await received(probe, bytes) == b"ABC" * 1_000_000


async def test_arguments_are_what_they_were_when_it_was_piped() -> None:
    def begin_and_change(ctx: Context) -> None:
        numbers = [1, 2, 3]
        ctx.pipe_process_to(probe.ref, sum, numbers)
        numbers.clear()

    async with worker_and_probe() as (_, worker, probe):
        await worker.ask(Do(begin_and_change))
        assert await received(probe, int) == 6


async def test_what_the_function_raises_comes_with_its_own_traceback() -> None:
    async with worker_and_probe() as (system, worker, probe):
        await pipe(worker, probe.ref, errands.raise_trouble)
        failure = (await received(probe, PipeFailed)).failure
        assert isinstance(failure.exception, errands.Trouble)
        assert failure.text == "ouch"
        assert "in raise_trouble" in failure.traceback_text
        assert system.statistics().failures == 0


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (errands.raise_finicky, "Finicky: this and that"),
        (errands.raise_unprintable, "Unprintable"),
        (errands.make_function, "its result cannot be pickled"),
        (errands.be_async, "its result cannot be pickled: cannot pickle 'coroutine' object"),
        (errands.exit_at_once, "the worker process died: exit code 3"),
        (errands.exit_politely, "the worker process died: exit code 4"),
        (errands.kill_yourself, "the worker process died: killed by SIGKILL"),
        (errands.close_everything, "the worker process died"),
        (lambda: None, "the function or one of its arguments cannot be pickled"),
    ],
)
async def test_whatever_goes_wrong_comes_as_a_failure_and_the_next_function_runs(fn: Any, text: str) -> None:
    async with worker_and_probe() as (system, worker, probe):
        await pipe(worker, probe.ref, fn)
        assert text in str((await received(probe, PipeFailed)).failure)
        await pipe(worker, probe.ref, errands.double, 21)
        assert await received(probe, int) == 42
        assert system.statistics().failures == 0


async def test_a_process_that_dies_is_a_failure_to_the_breaker() -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.kill_yourself, breaker=breaker)
        await received(probe, PipeFailed)
        assert breaker.state is CircuitState.OPEN


async def test_what_cannot_be_called_is_refused_at_once() -> None:
    no_function: Any = "double"
    async with worker_and_probe() as (_, worker, probe):

        def try_it(ctx: Context) -> str:
            with pytest.raises(TypeError, match="double"):
                ctx.pipe_process_to(probe.ref, no_function)
            return "refused"

        assert await worker.ask(Do(try_it)) == "refused"


# The processes


async def test_it_runs_apart_from_terminal_and_program() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.surroundings)
        assert await received(probe, tuple) == (True, True, b"")


async def test_processes_are_kept_for_the_next_function_and_no_more_than_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    async with worker_and_probe() as (_, worker, probe):
        for _ in range(20):
            await pipe(worker, probe.ref, os.getpid)
        numbers = {await received(probe, int) for _ in range(20)}
        assert os.getpid() not in numbers
        assert 1 <= len(numbers) <= 2
        await pipe(worker, probe.ref, os.getpid)
        assert await received(probe, int) in numbers


async def test_idle_processes_do_not_keep_an_actor_from_passivation() -> None:
    async with worker_and_probe() as (system, _, probe):
        idle = await system.spawn(Recorder, passivation=Idle(0.01))
        await pipe(idle, probe.ref, os.getpid)
        process = await received(probe, int)
        with trio.fail_after(PATIENCE):
            await idle.wait_stopped()
        await gone(process)


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill, fail])
@pytest.mark.parametrize("errand", [errands.hang, errands.start_another_and_hang])
async def test_a_busy_process_ends_with_the_life_of_the_actor_and_so_does_what_it_started(
    end: Callable[[ActorRef], None], errand: Callable[[Path], None], number: Path
) -> None:
    async with worker_and_probe(ActorRestarted) as (_, worker, probe):
        await pipe(worker, probe.ref, errand, number)
        process = await told(number)
        end(worker)
        await gone(process)
        assert probe.messages == ()


async def test_what_a_dead_process_has_forked_ends_too(number: Path) -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.leave_a_fork_behind, number)
        process = await told(number)
        assert "exit code 5" in str((await received(probe, PipeFailed)).failure)
        await gone(process)


async def test_an_actor_that_stops_while_a_process_starts_leaves_none() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.double, 21)
        worker.stop()
        await worker.wait_stopped()
        assert probe.messages == ()


async def test_a_process_that_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, errands.double, 21)
        assert (await received(probe, PipeFailed)).failure.type_name == "FileNotFoundError"


async def test_a_cancelled_call_ends_its_process(number: Path) -> None:
    async with open_worker() as worker, trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, errands.hang, number)
        process = await told(number)
        nursery.cancel_scope.cancel()
    await gone(process)


# Whole programs

PROGRAM = """
import sys
from pathlib import Path

import trio
from trioakt import ActorSystem, Context, PipeFailed
from tests.patterns.errands import hang

class Trouble(Exception):
    pass

def answer(question: str) -> str:
    print("thinking", flush=True)
    if not question:
        raise Trouble("no question")
    return question.upper()

async def thinker(ctx: Context, msg: object) -> None:
    match msg:
        case Path():
            ctx.pipe_process_to(ctx.self, hang, msg)
        case [question]:
            ctx.pipe_process_to(ctx.self, answer, question)
        case PipeFailed(failure):
            print(failure, type(failure.exception) is Trouble, flush=True)
            ctx.stop()
        case _:
            print(msg, flush=True)
            ctx.pipe_process_to(ctx.self, answer, "")

async def main(*told: object) -> None:
    async with ActorSystem("program") as system:
        ref = await system.spawn_func(thinker)
        for each in told:
            ref.tell(each)
        await ref.wait_stopped()
"""


def program(tmp_path: Path, *last: str) -> list[str]:
    """Write a program that ends in these lines; return the command that runs it."""
    (tmp_path / "program.py").write_text("\n".join([PROGRAM, *last]))
    return [sys.executable, str(tmp_path / "program.py")]


def output(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )
    return done.stdout


def test_functions_of_the_main_module_run_and_print(tmp_path: Path) -> None:
    command = program(tmp_path, "if __name__ == '__main__':", "    trio.run(main, ['why?'])")
    assert output(command).splitlines() == ["thinking", "WHY?", "thinking", "__main__.Trouble: no question True"]


def test_functions_of_a_main_module_that_is_run_by_its_name_run_too(tmp_path: Path) -> None:
    program(tmp_path, "if __name__ == '__main__':", "    trio.run(main, [''])")
    command = [sys.executable, "-c", "import runpy, sys; sys.argv = ['']; runpy._run_module_as_main('program')"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["thinking", "__main__.Trouble: no question True"], done.stderr


def test_a_main_module_that_begins_its_work_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    printed = output(program(tmp_path, "trio.run(main, ['why?'])"))
    assert "below `if __name__ == '__main__':`" in printed
    assert printed.endswith("the worker process died: exit code 1 False\n")


async def test_processes_end_with_a_program_that_is_killed(tmp_path: Path, number: Path) -> None:
    command = program(tmp_path, "if __name__ == '__main__':", f"    trio.run(main, Path({str(number)!r}))")
    running = await trio.lowlevel.open_process(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    process = await told(number)
    running.kill()
    await running.wait()
    await gone(process)
