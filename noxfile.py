"""Every check of trioakt; `nox` runs the default ones, `nox -l` lists them all."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
CODE_ON_PAGES = ("tests/test_documentation.py", "tests/test_examples.py")
"""The session `examples` runs them."""
MANIFESTS = "tests/test_manifests.py"
"""The session `docs` runs them."""
OF_SOURCES = ("tests/test_layers.py", "tests/test_benchmarks.py")
"""Judge the sources and the benchmarks, which are the same wherever they are run; the first is what `layers` is for."""
BY_CHANCE = ("tests/properties", "tests/simulation")
"""Look for what goes wrong in rare orders of events; the sessions `tests` do that on each Python."""
CLUSTERS = "tests/multiprocess/test_cluster_*.py"
"""Kill, freeze and restart whole nodes, as the sessions `tests` do; `tests/cluster` uses each of their parts."""
SERVERS = ("tests/multiprocess", "tests/cluster/test_etcd_store.py", "tests/cluster/test_postgresql_store.py")
"""Wait for servers and other processes to die; to the modules of the wheel they add nothing that others do not use."""


def find_interpreters() -> None:
    """Put the interpreters of pyenv on PATH where the version is not found there in working order.

    pyenv's own shim of a version that is not active is on PATH but fails when it is run.
    """
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for python in PYTHONS:
        command = shutil.which(f"python{python}")
        if command and subprocess.run([command, "-c", ""], check=False, capture_output=True).returncode == 0:
            continue
        if found := sorted(versions.glob(f"{python}.*/bin/python{python}")):
            os.environ["PATH"] = f"{found[-1].parent}{os.pathsep}{os.environ['PATH']}"


find_interpreters()


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return list(nox.project.dependency_groups(PROJECT, name))


def oldest(requirement: str) -> str:
    """Return a requirement pinned to its lower bound; as it is when it has none."""
    parsed = Requirement(requirement)
    bounds = [bound.version for bound in parsed.specifier if bound.operator == ">="]
    return f"{parsed.name}=={bounds[0]}" if bounds else requirement


def run_tests(session: nox.Session, *without: str) -> None:
    """Run the tests without some; if the session has arguments, they go to pytest instead, as they are."""
    session.run("pytest", "--durations=15", *(session.posargs or [f"--ignore-glob={path}" for path in without]))


# The default sessions stand in the order of the time they take, the longest first: in that order .ci/run begins them.


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest. What is on pages and the layers have sessions of their own."""
    session.install("-e", ".[all]", *group("tests"))
    run_tests(session, *CODE_ON_PAGES, MANIFESTS, "tests/test_layers.py")


@nox.session(python=PYTHONS[0])
def tests_oldest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies that pyproject.toml allows, but none whose verdict is not theirs."""
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    required = PROJECT["project"]["dependencies"] + [
        one for name, extra in extras.items() if name != "all" for one in extra
    ]
    session.install("-e", ".", *map(oldest, required), *group("tests"))
    run_tests(session, *CODE_ON_PAGES, MANIFESTS, *OF_SOURCES, *BY_CHANCE, CLUSTERS)


@nox.session(reuse_venv=False)
def build(session: nox.Session) -> None:
    """Build the sdist, from it the wheel, and run tests of the sdist against the installed wheel.

    They shall prove that the wheel is complete and that the sdist carries its tests: so all are collected, and those
    are run that import and use every part. Before its extras are installed the wheel must be good for what needs none.
    """
    session.install(*group("build"), *group("tests"))
    dist = Path(session.create_tmp()) / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), str(ROOT))
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    session.install(str(wheel))
    session.run("python", "-c", "import trioakt.testing")
    session.run("trioakt", "--help", silent=True)
    session.install(f"{wheel}[all]")

    elsewhere = dist / "sources"
    shutil.unpack_archive(sdist, elsewhere)
    (unpacked,) = elsewhere.iterdir()
    shutil.rmtree(unpacked / "trioakt")
    session.chdir(unpacked)
    session.run("python", "-c", "import sys, trioakt; assert trioakt.__file__.startswith(sys.prefix), trioakt.__file__")
    session.run("pytest", "--collect-only", "-qq", silent=True)
    run_tests(session, *CODE_ON_PAGES, MANIFESTS, *OF_SOURCES, *BY_CHANCE, *SERVERS)


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example and every program on a page of the documentation."""
    session.install("-e", ".[all]", *group("tests"))
    session.run("pytest", "--durations=15", *CODE_ON_PAGES, *session.posargs)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy and pyright, both strict."""
    session.install("-e", ".[all]", *group("typing"), *group("bench"))
    session.run("mypy")
    session.run("pyright", "--pythonpath", str(Path(session.bin) / "python"))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors, and check the changelog fragments and the manifests."""
    session.install("-e", ".[all]", *group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-b", "html", "docs", "docs/_build/html", *session.posargs)
    session.run("towncrier", "build", "--draft", silent=True)
    session.run("pytest", MANIFESTS)


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports only go down and that files, functions and classes keep their size."""
    session.install("-e", ".", *group("layers"))
    session.run("lint-imports", "--no-cache", "--no-logo")
    session.run("pytest", "tests/test_layers.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Check rules and formatting with ruff; `nox -s lint -- --fix` repairs what it can."""
    session.install(*group("lint"))
    if "--fix" in session.posargs:
        session.run("ruff", "check", "--fix")
        session.run("ruff", "format")
    else:
        session.run("ruff", "check")
        session.run("ruff", "format", "--check")


@nox.session(default=False)
def simulate(session: nox.Session) -> None:
    """Simulate several nodes under faults with as many seeds as are asked for: `nox -s simulate -- 10000`."""
    session.install("-e", ".[all]", *group("tests"))
    seeds, *arguments = session.posargs or ["2000"]
    session.run("pytest", "tests/simulation", *arguments, env={"TRIOAKT_SEEDS": seeds})


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Tell which lines of the package no test reaches."""
    session.install("-e", ".[all]", *group("coverage"))
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure trioakt beside its floor and its peers; arguments go to benchmarks/run.py."""
    session.install("-e", ".[all]", *group("bench"))
    session.run("python", "-m", "benchmarks.run", *session.posargs)
