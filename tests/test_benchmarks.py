"""The benchmarks: every Savina program comes to its right result, and the harness measures what it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import FIGURES, Figure
from benchmarks.peers import CONTENDERS
from benchmarks.savina import WrongResultError, check

ROOT = Path(__file__).parent.parent

PROGRAMS = {name: figure for name, figure in FIGURES.items() if figure.suite == "savina"}


def is_installed(package: str) -> bool:
    """Tell whether a package is there, which is no part of the tests."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


WITH_PEERS = ["subject", *(["pykka_threads"] if is_installed("pykka") else [])]
NEEDS = {"observability": "opentelemetry.sdk", "persistence": "cattrs", "remote": "pynng", "stores": "httpx"}
MEASURABLE = {name: each for name, each in FIGURES.items() if is_installed(NEEDS.get(each.suite, "trioakt"))}


def workloads(suite: str, module: str) -> dict[str, Any]:
    """Return what a contender can measure."""
    return dict(import_module(f"benchmarks.{suite}.{module}").WORKLOADS)


def modules(figure: Figure) -> set[str]:
    """Return the modules of the contenders of a figure that can be imported here."""
    contenders = {CONTENDERS[name] for name in figure.contenders}
    mine = {each.module for each in contenders if not each.requires}
    return mine if is_installed("pykka") else mine - {"pykka_threads"}


@pytest.mark.parametrize("module", WITH_PEERS)
@pytest.mark.parametrize("figure", PROGRAMS.values(), ids=PROGRAMS)
def test_a_savina_program_comes_to_its_right_result(figure: Figure, module: str) -> None:
    assert workloads("savina", module)[figure.workload](*figure.quick)["value"] > 0


def test_savina_is_there_with_fourteen_programs() -> None:
    assert len(PROGRAMS) == 14


def test_a_wrong_result_is_an_error() -> None:
    with pytest.raises(WrongResultError, match="meals: expected 20, got 19"):
        check("meals", 19, 20)


@pytest.mark.parametrize("figure", MEASURABLE.values(), ids=MEASURABLE)
def test_each_contender_of_a_figure_can_measure_it(figure: Figure) -> None:
    assert {each for each in modules(figure) if figure.workload not in workloads(figure.suite, each)} == set()


def run(*arguments: str, module: str = "run") -> subprocess.CompletedProcess[str]:
    """Run the harness as its users do, or another module of it."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_quick_run_measures_each_contender_of_what_is_named_and_judges_nothing(tmp_path: Path) -> None:
    done = run("fan-out", "topic-actors-10", "--quick", "--json", str(tmp_path / "results.json"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert {name: sorted(figure["medians"]) for name, figure in figures.items()} == {
        "fan-out-1k": ["floor", "trioakt"],
        "fan-out-10k": ["floor", "trioakt"],
        "topic-actors-10": ["trioakt", "without"],
    }
    assert "| topic, actors: 10 " in done.stdout
    assert " yes " not in done.stdout


def test_what_goes_to_another_process_is_measured_beside_the_bare_wire(tmp_path: Path) -> None:
    done = run("remote-tell-64", "remote-ask-64-tls", "--quick", "--json", str(tmp_path / "results.json"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert [sorted(figure["medians"]) for figure in figures.values()] == [["floor", "trioakt"]] * 2


def test_two_processes_under_load_do_not_grow() -> None:
    done = run("remote.soak", "soak", "4", module="worker")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert min(measured[each] for each in ("told", "asked", "given up", "spawned")) > 0
    assert max(measured["grown here"], measured["grown there"]) < 10e6


def test_a_name_that_stands_for_nothing_is_refused() -> None:
    done = run("fanout", "--quick")
    assert done.returncode == 2
    assert "no such figure: fanout" in done.stderr
