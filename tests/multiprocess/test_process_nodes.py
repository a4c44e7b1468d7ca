"""Process nodes: they are kept while their parent wants them, and never outlive it."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.multiprocess.kinds import Block, Broken, Leave, Pid, Worker
from tests.multiprocess.processes import PATIENCE, NodeProcess
from tests.patterns.test_processes import gone
from tests.remote.authority import Authority
from trioakt import (
    Actor,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Directive,
    NameTakenError,
    OneForOne,
    ProcessNode,
    Remote,
    StartError,
    TerminationCause,
)
from trioakt.testing import MemoryNetwork, Probe

ROOT = Path(__file__).parents[2]
COOKIE = "not-for-everybody"


@asynccontextmanager
async def worker_node(**options: Any) -> AsyncGenerator[tuple[ActorSystem, ProcessNode]]:
    """Start a system with a process node, and a limit for all of it."""
    with trio.fail_after(PATIENCE):
        async with (
            ActorSystem("bank", remote=Remote(cookie=COOKIE, heartbeat=0.1, suspicion=0.4)) as system,
            system.open_process_node("worker", kinds=[Worker, Broken], **options) as node,
        ):
            yield system, node


async def end_of(probe: Probe, ref: ActorRef) -> TerminationCause:
    """Wait for the end of an actor."""
    return (await probe.expect_terminated(ref, within=PATIENCE)).cause


async def test_its_actors_are_in_another_process_and_can_be_reached_from_here() -> None:
    async with worker_node() as (system, node):
        worker = await node.spawn(Worker, name="ada")
        assert await worker.ask(Pid()) == node.pid != os.getpid()
        assert worker.address == f"{node.address}/user/ada"
        assert await system.resolve(worker.address) == worker
        assert node.ref == system.actor("worker")
        with pytest.raises(NameTakenError):
            await node.spawn(Worker, name="ada")
        with pytest.raises(StartError):
            await node.spawn(Broken)
        assert "worker  ProcessActor" in str(system.tree())


async def test_at_the_end_of_the_block_its_actors_stop_and_the_process_is_gone(tmp_path: Path) -> None:
    async with worker_node() as (_, node):
        await node.spawn(Worker, str(tmp_path / "word"))
        descriptor = os.pidfd_open(node.pid)
    assert (tmp_path / "word").read_text() == "stopped"
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)


async def test_a_cancelled_block_ends_the_process_too() -> None:
    pids: list[int] = []
    with trio.CancelScope() as scope:
        async with worker_node(stop_grace=0.2) as (_, node):
            pids.append(node.pid)
            worker = await node.spawn(Worker)
            worker.tell(Block(1e6))
            await trio.sleep(0.1)
            scope.cancel()
    await gone(pids[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_process_that_ends_is_lost_to_those_who_watch_and_a_new_one_follows(number: signal.Signals) -> None:
    async with worker_node() as (system, node):
        probe = await Probe.spawn(system)
        worker, first, place = await node.spawn(Worker), node.pid, node.address
        probe.watch(worker)
        os.kill(first, number)
        cause = await end_of(probe, worker)
        if number == signal.SIGKILL:  # after a SIGTERM its actors may still say that they have stopped
            assert cause == TerminationCause.NODE_LOST
        await gone(first)
        again = await node.spawn(Worker)
        assert await again.ask(Pid()) == node.pid != first
        assert node.address != place
        assert system.statistics().restarts == 1


async def test_a_process_that_hangs_is_killed_and_a_new_one_follows() -> None:
    async with worker_node(suspicion=2.0, stop_grace=0.2) as (system, node):
        probe = await Probe.spawn(system)
        worker, first = await node.spawn(Worker), node.pid
        probe.watch(worker)
        os.kill(first, signal.SIGSTOP)
        assert await end_of(probe, worker) == TerminationCause.NODE_LOST
        await gone(first)
        assert await (await node.spawn(Worker)).ask(Pid()) == node.pid != first


async def test_a_process_may_be_busy_for_longer_than_other_nodes_may_be_silent() -> None:
    async with worker_node() as (system, node):
        worker = await node.spawn(Worker)
        assert await worker.ask(Block(1.5)) == node.pid
        assert await worker.ask(Pid()) == node.pid
        assert system.statistics().restarts == 0


async def test_what_becomes_of_a_dead_process_is_for_its_supervision_to_say() -> None:
    async with worker_node(supervision=OneForOne(default=Directive.STOP)) as (system, node):
        os.kill(node.pid, signal.SIGKILL)
        await node.ref.wait_stopped()
        with pytest.raises(ActorStoppedError):
            await node.spawn(Worker)
        assert system.actor("worker") is None


async def test_nothing_secret_can_be_read_where_processes_are_listed() -> None:
    async with worker_node() as (_, node):
        for what in ("cmdline", "environ"):
            listed = await trio.Path(f"/proc/{node.pid}/{what}").read_bytes()
            assert COOKIE.encode() not in listed
            assert COOKIE.encode().hex().encode() not in listed


async def test_it_has_the_certificate_of_its_parent(tmp_path: Path) -> None:
    tls = Authority(tmp_path).tls("b", "127.0.0.1")
    remote = Remote("tls+tcp://127.0.0.1:0", node="b", tls=tls)
    async with (
        ActorSystem("bank", remote=remote) as system,
        system.open_process_node("worker", kinds=[Worker]) as node,
    ):
        assert await (await node.spawn(Worker)).ask(Pid()) == node.pid


@pytest.mark.parametrize(
    ("in_the_process", "complaint", "init_timeout"),
    [
        ("raise ValueError('not today')", "ValueError: not today", PATIENCE),
        ("import os; os._exit(7)", "exit code 7", PATIENCE),
        ("import time; time.sleep(1e6)", "longer than 1.0 s", 1.0),
    ],
)
async def test_a_process_that_cannot_import_its_kinds_is_gone_with_a_word(
    in_the_process: str, complaint: str, init_timeout: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"difficult_{abs(hash(in_the_process))}"
    (tmp_path / f"{name}.py").write_text(
        f"import sys\nfrom trioakt import Actor\nif 'pytest' not in sys.modules: {in_the_process}\n"
        "class Difficult(Actor): pass\n"
    )
    kind: type[Actor] = importlib.import_module(name).Difficult
    async with ActorSystem("bank", remote=Remote()) as system:
        with pytest.raises(StartError) as caught:
            async with system.open_process_node("worker", kinds=[kind], init_timeout=init_timeout):
                pass
        assert complaint in str(caught.value.__cause__)
        assert system.actors() == ()


async def test_what_cannot_be_is_refused_before_anything_starts() -> None:
    class Local(Actor):
        pass

    bad: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (Local, {}, ValueError, "cannot import .*Local"),
        (print, {}, TypeError, "actor class"),
        (Worker, {"suspicion": 0.1}, ValueError, "two heartbeats"),
        (Worker, {"stop_grace": -1.0}, ValueError, "stop_grace"),
    ]
    async with ActorSystem("bank", remote=Remote()) as system:
        for kind, options, error, text in bad:
            with pytest.raises(error, match=text):
                async with system.open_process_node("worker", kinds=[kind], **options):
                    pass
    async with ActorSystem("bank") as system:
        with pytest.raises(RuntimeError, match="remote=Remote"):
            system.open_process_node("worker", kinds=[Worker])
    remote = Remote("mem://a:1", transport=MemoryNetwork().transport("a"))
    async with ActorSystem("bank", remote=remote) as system:
        with pytest.raises(ValueError, match="sockets"):
            async with system.open_process_node("worker", kinds=[Worker]):
                pass


@asynccontextmanager
async def program(*args: str) -> AsyncGenerator[trio.Process]:
    """Run a program in a session of its own, and kill it at the end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        with trio.fail_after(PATIENCE):
            yield process
    finally:
        process.kill()
        await process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            await stream.aclose()


async def last_errors(process: trio.Process) -> str:
    """Return what a program and its processes write to standard error, once all of them have ended."""
    assert process.stderr is not None
    return b"".join([chunk async for chunk in process.stderr]).decode()


async def wait(process: trio.Process) -> None:
    await process.wait()


def by(number: signal.Signals) -> Callable[[trio.Process], Awaitable[None]]:
    """Send a signal."""

    async def send(process: trio.Process) -> None:
        process.send_signal(number)
        await process.wait()

    return send


async def by_ctrl_c(process: trio.Process) -> None:
    """Do what a terminal does."""
    os.killpg(process.pid, signal.SIGINT)
    await process.wait()


ENDS = {
    "return": ("return", wait, "idle"),
    "exception": ("raise", wait, "idle"),
    "SIGTERM": ("sleep", by(signal.SIGTERM), "idle"),
    "SIGKILL": ("sleep", by(signal.SIGKILL), "idle"),
    "Ctrl-C": ("sleep", by_ctrl_c, "idle"),
    "return, stuck": ("return", wait, "stuck"),
    "SIGKILL, stuck": ("sleep", by(signal.SIGKILL), "stuck"),
}


@pytest.mark.parametrize(("end", "act", "state"), ENDS.values(), ids=ENDS)
async def test_however_its_parent_ends_so_does_it(
    end: str, act: Callable[[trio.Process], Awaitable[None]], state: str, tmp_path: Path
) -> None:
    word = tmp_path / "word"
    async with program("-m", "tests.multiprocess.parent", end, state, str(word)) as process:
        said = NodeProcess(process)
        child = int(await said.line())
        await said.expect("ready")
        await act(process)
        errors = await last_errors(process)
        await gone(child)
    assert ("said on standard error" in errors) == word.exists() == (state == "idle")


async def test_a_program_that_begins_its_work_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import trio\n"
        "from trioakt import Actor, ActorSystem, Remote\n"
        "class Mine(Actor): pass\n"
        "async def main():\n"
        "    async with ActorSystem('bank', remote=Remote()) as system:\n"
        "        async with system.open_process_node('mine', kinds=[Mine]): pass\n"
        "trio.run(main)\n"
    )
    async with program(str(script)) as process:
        errors = await last_errors(process)
    assert "let it begin its work below `if __name__ == '__main__':`" in errors
    assert "StartError" in errors


async def test_a_process_that_ends_by_itself_says_how(caplog: pytest.LogCaptureFixture) -> None:
    async with worker_node() as (_, node):
        worker, first = await node.spawn(Worker), node.pid
        worker.tell(Leave(3))
        await gone(first)
        await node.spawn(Worker)
    assert f"the process {first} of /user/worker has ended: exit code 3" in caplog.text
