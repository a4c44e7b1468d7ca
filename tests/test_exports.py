"""The public names: complete, sorted, documented, and cheap to import."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import trioakt

HEAVY = [
    "anyio",
    "cattrs",
    "cronsim",
    "dns",
    "h11",
    "httpx",
    "loguru",
    "lz4",
    "msgspec",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "pynng",
    "zeroconf",
    "zstandard",
]


def test_the_public_names_are_sorted_and_unique() -> None:
    assert trioakt.__all__ == sorted(set(trioakt.__all__))


@pytest.mark.parametrize("name", trioakt.__all__)
def test_each_public_name_exists_and_is_documented(name: str) -> None:
    value = getattr(trioakt, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (value.__doc__ or "").strip(), f"{name} has no docstring of its own"


@pytest.mark.parametrize("name", [name for name in trioakt.__all__ if inspect.isclass(getattr(trioakt, name))])
def test_the_public_methods_of_each_public_class_are_documented(name: str) -> None:
    cls: type = getattr(trioakt, name)
    own = [base for base in cls.__mro__ if base.__module__.partition(".")[0] == "trioakt"]
    bare = sorted(
        f"{base.__qualname__}.{member}"
        for base in own
        for member, value in vars(base).items()
        if not member.startswith("_") and _is_method(value) and not inspect.getdoc(getattr(base, member))
    )
    assert bare == []


def test_nothing_public_is_left_out_of_the_exports() -> None:
    public = {name for name, value in vars(trioakt).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public - {"annotations"} == set(trioakt.__all__)


def test_importing_the_package_loads_nothing_heavy() -> None:
    report = "import sys, trioakt; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True)
    assert sorted(set(HEAVY) & set(done.stdout.split())) == []


def _is_method(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod)
