"""The census: what it counts, what it does with files that cannot be counted, and how it ends early."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePath

import pytest
import trio

from trioakt import ActorSystem
from trioakt.demo import actors
from trioakt.demo.actors import Census
from trioakt.demo.counting import Figures, count, total
from trioakt.demo.display import ProgressLine, table, troubles
from trioakt.demo.program import take_census
from trioakt.demo.worker import open_worker

PROGRAM = [
    sys.executable,
    "-c",
    "import sys, pathlib, trioakt.demo as d; sys.exit(d.main(*map(pathlib.Path, sys.argv[1:])))",
]

NESTED = b"""\
class Outer:
    async def first(self):
        import os
        try:
            from os import path
        except ImportError:
            def fallback(): pass
    match 1:
        case 1:
            class Inner: pass
"""

BROKEN = {
    "no_python.py": b"def",
    "bad_encoding.py": b"# coding: uft-8\n",
    "not_utf_8.py": b"\xff\xfe",
    "cut_character.py": b"# coding: utf_8\n?\xe2\xd3E",
    "null.py": b"x = 1\0",
}
TOO_DEEP = {
    "signs.py": b"-" * 100_000 + b"1",
    "attributes.py": b"x" + b".a" * 100_000,
}


def write(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        (directory / name).write_bytes(source)


async def census_of(root: Path) -> tuple[Census, int]:
    """Take a census; return it and the number of restarts."""
    async with ActorSystem("census") as system:
        census = await take_census(system, root, trio.CancelScope())
    assert system.statistics().dead_letters == 0
    return census, system.statistics().restarts


# ------------------------------------------------------------------------ counting


@pytest.mark.parametrize(
    ("source", "figures"),
    [
        (b"", Figures(1)),
        (b"x = 1", Figures(1, 1)),
        (b"import a, b\nfrom c import d\n", Figures(1, 2, imports=2)),
        (b"f = lambda: 0\r\ndef g(): pass\r\n", Figures(1, 2, functions=1)),
        (NESTED, Figures(1, 10, classes=2, functions=1, async_functions=1, imports=2)),
    ],
)
def test_statements_are_counted_wherever_they_stand(source: bytes, figures: Figures) -> None:
    assert count(source) == figures


def test_figures_add_up() -> None:
    assert total([]) == Figures()
    assert total([Figures(1, 2, 3, 4, 5, 6), Figures(1, 1, 1, 1, 1, 1)]) == Figures(2, 3, 4, 5, 6, 7)


# ------------------------------------------------------------------- real directories


async def test_every_file_is_counted_in_its_package(tmp_path: Path) -> None:
    write(tmp_path, {"top.py": b"x = 1\n", "notes.txt": b"no python"})
    write(tmp_path / "pkg" / "with a space", {"nested.py": NESTED, "empty.py": b""})
    write(tmp_path / "site-packages", {"foreign.py": b""})
    write(tmp_path / ".hidden", {"hidden.py": b""})

    census, _ = await census_of(tmp_path)

    assert census.failures == ()
    assert census.found == 3
    assert census.packages == {
        PurePath(): Figures(1, 1),
        PurePath("pkg", "with a space"): Figures(2, 10, classes=2, functions=1, async_functions=1, imports=2),
    }


async def test_more_files_than_wait_in_mailboxes_are_all_counted(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.py": b"x = 1\n" * 1000 for number in range(100)})
    census, _ = await census_of(tmp_path)
    assert census == Census(100, {PurePath(): Figures(100, 100_000)}, ())


async def test_a_broken_file_is_reported_and_its_parser_goes_on(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": b"x = 1\n"} | BROKEN)
    (tmp_path / "dangling.py").symlink_to("nowhere")

    census, restarts = await census_of(tmp_path)

    assert census.packages == {PurePath(): Figures(1, 1)}
    assert {failure.split(": ")[1] for failure in census.failures} == {*BROKEN, "dangling.py"}
    assert restarts == 0


async def test_a_file_too_deep_for_the_parser_costs_it_a_restart(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": b"x = 1\n"} | TOO_DEEP)

    census, restarts = await census_of(tmp_path)

    assert census.packages == {PurePath(): Figures(1, 1)}
    assert {failure.split(": ")[1] for failure in census.failures} == {*TOO_DEEP}
    assert restarts == len(TOO_DEEP)


async def test_a_directory_that_links_to_itself_is_counted_once(tmp_path: Path) -> None:
    write(tmp_path / "pkg", {"one.py": b"x = 1\n"})
    (tmp_path / "pkg" / "again").symlink_to(tmp_path)
    (tmp_path / "pkg" / "again.py").symlink_to(tmp_path)

    census, _ = await census_of(tmp_path)

    assert census == Census(1, {PurePath("pkg"): Figures(1, 1)}, ())


async def test_a_directory_that_cannot_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "open", {"one.py": b"x = 1\n"})
    write(tmp_path / "closed", {"two.py": b"x = 1\n"})
    listed = actors.list_directory

    def refuse(directory: Path) -> tuple[list[str], list[str]]:
        if directory.name == "closed":
            raise PermissionError("closed")
        return listed(directory)

    monkeypatch.setattr(actors, "list_directory", refuse)
    assert (await census_of(tmp_path))[0] == Census(1, {PurePath("open"): Figures(1, 1)}, ("PermissionError: closed",))


async def test_an_empty_directory_has_an_empty_census(tmp_path: Path) -> None:
    assert (await census_of(tmp_path))[0] == Census(0, {}, ())


async def test_a_file_that_is_never_read_to_its_end_is_given_up(tmp_path: Path, autojump_clock: object) -> None:
    os.mkfifo(tmp_path / "stuck.py")
    async with open_worker(tmp_path) as worker:
        with pytest.raises(TimeoutError, match=r"stuck\.py"):
            await worker.count(PurePath("stuck.py"))


# ------------------------------------------------------------------ the whole program


@contextmanager
def running(*arguments: str | Path) -> Generator[tuple[subprocess.Popen[str], set[int]]]:
    """Run the program in a process group of its own; yield it and its workers when a file is done.

    At the end of the block the program has ended, and every worker has to be gone.
    """
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as program:
        assert program.stderr is not None
        try:
            while (line := program.stderr.readline()).startswith("0 of "):
                pass
            assert " files" in line
            workers = children(program.pid)
            assert workers
            yield program, workers
        finally:
            program.kill()
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


def children(parent: int) -> set[int]:
    stats = {int(path.parent.name): path.read_text(encoding="utf-8") for path in Path("/proc").glob("[0-9]*/stat")}
    return {process for process, stat in stats.items() if int(stat.rpartition(")")[2].split()[1]) == parent}


def interrupt(program: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """Signal the whole process group, as a terminal does; return what the program printed, less lines of progress."""
    os.killpg(program.pid, number)
    output, errors = program.communicate(timeout=60)
    return output, "".join(line for line in errors.splitlines(keepends=True) if not line.endswith(" files\n"))


def test_ctrl_c_ends_it_with_what_is_known_by_then() -> None:
    with running() as (program, _):
        output, errors = interrupt(program, signal.SIGINT)
    assert errors == ""
    assert "total of" in output
    assert output.endswith("Interrupted: the figures are of a part only.\n")
    assert program.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_a_worker_is_stuck(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path, {"good.py": b"x = 1\n"})
    os.mkfifo(tmp_path / "stuck.py")
    with running(tmp_path) as (program, _):
        output, errors = interrupt(program, number)
    assert errors == ""
    assert "total of 1" in output
    assert program.returncode == 130


def test_a_worker_that_is_killed_costs_one_file(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": b"x = 1\n"})
    os.mkfifo(tmp_path / "stuck.py")
    with running(tmp_path) as (program, workers):
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        output, _ = program.communicate(timeout=60)
    assert "trio.BrokenResourceError: stuck.py: the worker process died" in output
    assert "failures 1 | restarts 1 | dead letters 0" in output
    assert program.returncode == 0


# ------------------------------------------------------------------------ the display


def test_progress_is_one_line_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    half = Census(2, {PurePath(): Figures(1, 1)}, ())
    file, terminal = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    for stream in (file, terminal):
        line = ProgressLine(stream)
        line.draw(half)
        line.draw(half)
        line.clear()
    assert file.getvalue() == "1 of 2 files\n" * 2
    assert terminal.getvalue().count("\r[###############               ] 1 of 2 files") == 2
    assert "\n" not in terminal.getvalue()


def test_the_table_shows_the_largest_packages_and_sums_up_the_others() -> None:
    packages = {PurePath(f"p{number}"): Figures(1, number) for number in range(1, 1001)}
    rows = [line.split() for line in table(Census(1000, packages, ())).splitlines()]
    assert rows[2][:3] == ["p1000", "1", "1,000"]
    assert rows[-3][:4] == ["985", "more", "985", "485,605"]
    assert rows[-1][:5] == ["total", "of", "1,000", "1,000", "500,500"]


def test_of_many_failures_some_are_listed() -> None:
    lines = troubles(Census(0, {}, tuple(f"failure {number:03}" for number in range(100)))).splitlines()
    assert lines[1] == "  failure 000"
    assert lines[-1] == "  and 80 more"
