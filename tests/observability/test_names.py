from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from trioakt import observability


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_public_names_are_sorted_and_unique() -> None:
    assert observability.__all__ == sorted(set(observability.__all__))


@pytest.mark.parametrize("name", observability.__all__)
def test_each_public_name_exists_and_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(observability, name))


def test_a_name_that_is_not_there_is_no_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Dashboard'"):
        getattr(observability, "Dash" + "board")


def test_the_package_loads_what_needs_an_extra_only_when_it_is_asked_for() -> None:
    report = "import sys, trioakt.observability; print(*{name.partition('.')[0] for name in sys.modules})"
    assert {"h11", "loguru", "opentelemetry", "prometheus_client"}.isdisjoint(run(report).split())


@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [
        ("loguru", "open_logging", "logs"),
        ("opentelemetry", "Metrics", "metrics"),
        ("opentelemetry", "Tracing", "metrics"),
        ("h11", "open_health_server", "health"),
        ("h11", "serve_prometheus", "prometheus"),
        ("prometheus_client", "serve_prometheus", "prometheus"),
    ],
)
def test_where_an_extra_is_missing_the_error_says_which(missing: str, name: str, extra: str) -> None:
    program = f"""
import sys
sys.modules[{missing!r}] = None
try:
    from trioakt.observability import {name}
except ModuleNotFoundError as error:
    print(error)
"""
    assert run(program) == f"{name} needs {missing}: pip install 'trioakt[{extra}]'"
