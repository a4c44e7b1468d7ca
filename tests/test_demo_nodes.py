"""The demonstration on several nodes: what it shows when one is killed, what it leaves behind, and how it counts."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.cluster.etcd_server import etcd
from tests.cluster.nodes import open_town
from trioakt.cluster.stores import open_store
from trioakt.demo.cluster import telemetry
from trioakt.demo.cluster.actors import (
    AGGREGATOR,
    ALARMS,
    Account,
    Acknowledged,
    Aggregator,
    Alarm,
    Audit,
    Device,
    Overview,
    Reading,
    TakeStock,
)
from trioakt.demo.cluster.display import Screen
from trioakt.demo.cluster.telemetry import measure, parse
from trioakt.demo.cluster.verdict import Verdict, count, report
from trioakt.persistence import MemoryJournal

COMMAND = Path(sysconfig.get_path("scripts"), "trioakt")
PATIENCE = 240.0
"""Seconds after which a test gives up; it passes much earlier."""


@contextmanager
def running(scratch: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run the demonstration in a process group of its own; at the end of the block none of its processes is left."""
    with subprocess.Popen(
        [COMMAND, "demo", "--nodes", "3", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env={**os.environ, "TMPDIR": str(scratch)},
    ) as program:
        try:
            yield program
        finally:
            program.kill()
    wait_until_gone(f"TMPDIR={scratch}")


def marked(mark: str) -> list[Path]:
    """Return the processes that have this among their environment variables."""
    found: list[Path] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent)
        except OSError:  # it is none of ours, or has ended
            continue
    return found


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := marked(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def wait_for(program: subprocess.Popen[str], text: str) -> None:
    """Read what it tells, up to a line with this text."""
    assert program.stderr is not None
    for line in program.stderr:
        if text in line:
            return
    raise EOFError(f"it has ended without a word of {text!r}")


# ---------------------------------------------------------------------- the whole program


def run_to_the_end(scratch: Path, *arguments: str) -> tuple[int, str, str]:
    """Return the exit code, the accounts, and what was told before; no file is left."""
    scratch.mkdir()
    with running(scratch, *arguments) as program:
        output, story = program.communicate(timeout=PATIENCE)
    assert list(scratch.iterdir()) == []
    return program.returncode, output, story


def test_a_node_is_killed_and_nothing_promised_is_lost(tmp_path: Path) -> None:
    code, output, story = run_to_the_end(tmp_path / "scratch")
    assert "killing node-" in story
    assert "is dead" in story
    assert "Nothing promised was lost" in output
    assert code == 0


async def test_it_works_on_etcd_and_leaves_no_name_there(tmp_path: Path) -> None:
    async with etcd(tmp_path / "etcd") as cluster:
        _, output, _ = await trio.to_thread.run_sync(run_to_the_end, tmp_path / "scratch", "--store", cluster.url())
        async with open_store(cluster.url()) as store:
            keys = [entry.key for entry in (await store.list("trioakt/")).entries]
    assert "Nothing promised was lost" in output
    assert [key for key in keys if "/names/" in key] == []


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    file = tmp_path / "letter.db"
    file.write_text("no store\n" * 1000, encoding="utf-8")
    code, output, story = run_to_the_end(tmp_path / "scratch", "--store", f"sqlite://{file}")
    assert "trioakt demo: node-1 cannot start: " in story
    assert story.endswith("file is not a database\n")
    assert (code, output) == (1, "")


def test_ctrl_c_ends_all_nodes_with_it(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        wait_for(program, "the aggregator is on node-")
        os.killpg(program.pid, signal.SIGINT)
        output, errors = program.communicate(timeout=PATIENCE)
    assert output == "Interrupted: nothing was checked.\n"
    assert "Traceback" not in errors
    assert program.returncode == 130


def test_the_nodes_end_when_the_program_is_killed(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        wait_for(program, "the aggregator is on node-")
        program.kill()


# -------------------------------------------------------------------------- the actors


async def test_a_reading_that_is_asked_again_counts_once(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        node = await town.start("a", kinds=[Aggregator], grains=[Device], extensions=[MemoryJournal()])
        aggregator = await node.spawn_singleton(Aggregator, name=AGGREGATOR)
        device = node.grain(Device, "MemFree")
        for number, kilobytes in ((1, 10), (1, 10), (2, 5), (1, 10), (2, 5)):
            await device.ask(Reading(number, kilobytes))
        assert await device.ask(Reading(2, 5)) == Acknowledged(2, "a")
        assert await device.ask(Audit()) == Account(2, 15)
        assert await aggregator.ask(TakeStock()) == Overview("a", 1, Account(2, 15))


async def test_a_device_that_jumps_raises_an_alarm(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        node = await town.start("a", kinds=[Aggregator], grains=[Device], extensions=[MemoryJournal()])
        await node.spawn_singleton(Aggregator, name=AGGREGATOR)
        async with node.topics.subscribe(ALARMS) as alarms:
            for number, kilobytes in enumerate((10_000, 10_900, 30_000, 30_000), 1):
                await node.grain(Device, "MemFree").ask(Reading(number, kilobytes))
            assert await anext(alarms) == Alarm("MemFree", 10_900, 30_000)


# ------------------------------------------------------------------------ the accounts


def test_lines_that_are_no_readings_are_left_out() -> None:
    lines = ["MemFree:  812 kB", "HugePages_Total:  0", "a: b/7: 3 kB", "Dirty: -1 kB", "kB", ""]
    assert parse(lines) == {"MemFree": 812, "a: b/7": 3}


def test_this_machine_has_readings_and_they_are_counted_in_two_ways() -> None:
    lines = measure()
    readings = parse(lines)
    assert len(readings) > 1
    assert count(lines) == {device: Account(1, kilobytes) for device, kilobytes in readings.items()}


def test_where_the_kernel_has_no_files_ps_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ps = tmp_path / "ps"
    ps.write_text("#!/bin/sh\necho ' 100    7 /bin/a b'; echo '2000   12 /sbin/init'\n", encoding="utf-8")
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(telemetry, "PROC", tmp_path)
    assert measure() == ["init/12: 2000 kB", "a b/7: 100 kB"]


GOOD = Verdict(
    expected={"MemFree": Account(2, 1500), "Dirty": Account(2, 8)},
    counted={"MemFree": Account(2, 1500), "Dirty": Account(2, 8)},
    overview=Overview("node-3", 2, Account(4, 1508)),
    nodes={"MemFree": "node-1", "Dirty": "node-3"},
)


def test_accounts_that_agree_are_shown_with_their_sums() -> None:
    text = report(GOOD)
    assert ["total", "of", "2", "4", "4", "1,508", "1,508"] in [line.split() for line in text.splitlines()]
    assert "Nothing promised was lost: 4 readings of 2 devices are counted, each once." in text


@pytest.mark.parametrize("counted", [Account(1, 4), Account(3, 12), Account(2, 9)])
def test_a_device_that_has_lost_a_reading_or_counted_one_twice_is_named(counted: Account) -> None:
    verdict = attrs.evolve(GOOD, counted={**GOOD.counted, "Dirty": counted})
    assert not verdict.is_good
    assert "Devices that differ: Dirty" in report(verdict)


def test_the_screen_draws_in_place_on_a_terminal_and_a_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    file, terminal = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    for stream in (file, terminal):
        screen = Screen(stream)
        screen.draw(["one", "two"])
        screen.note("happened")
        screen.draw(["three", "four"])
        screen.clear()
    assert file.getvalue() == "one\nhappened\nthree\n"
    assert terminal.getvalue() == "one\ntwo\n\x1b[2F\x1b[Jhappened\nthree\nfour\n\x1b[2F\x1b[J"
