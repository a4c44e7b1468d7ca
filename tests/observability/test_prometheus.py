from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Get, Note, Recorder
from trioakt import ActorSystem
from trioakt.observability import Metrics, PrometheusEndpoint, serve_prometheus


@contextmanager
def provided() -> Generator[MeterProvider]:
    """Give a meter provider whose figures are in the default registry of prometheus_client."""
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    try:
        yield provider
    finally:
        provider.shutdown()


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    content_type: str
    text: str


async def fetch(url: str, accept: str = "") -> Answer:
    """Get a page."""

    def read() -> Answer:
        request = urllib.request.Request(url, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return Answer(response.status, response.headers["Content-Type"], response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers["Content-Type"], error.read().decode())

    return await trio.to_thread.run_sync(read)


async def test_the_page_shows_what_a_system_does() -> None:
    with provided() as provider:
        async with (
            ActorSystem("bank", extensions=[Metrics(provider)]) as system,
            serve_prometheus(port=0) as endpoint,
        ):
            ada = await system.spawn(Recorder)
            ada.tell(Note())
            ada.tell(Boom(ValueError()))
            await ada.ask(Get())
            _, content_type, text = await fetch(endpoint.url)
    lines = [line for line in text.splitlines() if "Recorder" in line]
    assert content_type.startswith("text/plain; version=0.0.4")
    assert _value(lines, "trioakt_actor_handled_total") == 3
    assert _value(lines, "trioakt_actor_restarts_total") == 1
    assert _value(lines, "trioakt_mailbox_depth") == 0
    assert _value(lines, "trioakt_asks_total", 'trioakt_ask_outcome="replied"') == 1
    assert _value(lines, "trioakt_actor_handling_duration_seconds_count", 'error_type="ValueError"') == 1


def _value(lines: list[str], name: str, label: str = "") -> float:
    (line,) = (line for line in lines if line.startswith(f"{name}{{") and label in line)
    return float(line.rpartition(" ")[2])


async def test_the_format_is_the_one_that_is_asked_for() -> None:
    async with serve_prometheus(port=0, registry=CollectorRegistry()) as endpoint:
        _, content_type, text = await fetch(endpoint.url, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text == "# EOF\n"


async def test_any_registry_is_served_and_nothing_but_its_page() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders taken", registry=registry).inc(7)
    async with serve_prometheus(port=0, registry=registry) as endpoint:
        assert "orders_total 7.0" in (await fetch(endpoint.url)).text
        assert (await fetch(endpoint.url.replace("/metrics", "/"))).status == 404


def test_the_url_is_one_that_can_be_scraped() -> None:
    assert PrometheusEndpoint("127.0.0.1", 9464).url == "http://127.0.0.1:9464/metrics"
    assert PrometheusEndpoint("::1", 9464).url == "http://[::1]:9464/metrics"


class Slow(Collector):
    """Collects when it is let."""

    def __init__(self, collect: Callable[[], object]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[CounterMetricFamily]:
        self._collect()
        yield CounterMetricFamily("slow", "Slow", value=1)


async def test_figures_that_take_long_hold_up_neither_the_loop_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.observability.prometheus._COLLECTING", 0.05)
    gate, registry = threading.Event(), CollectorRegistry()
    registry.register(Slow(lambda: gate.is_set() or gate.wait(30)))
    gate.set()
    async with serve_prometheus(port=0, registry=registry) as endpoint:
        gate.clear()
        assert (await fetch(endpoint.url)).status == 503
        gate.set()


async def test_figures_that_fail_are_an_error_to_the_scrape_and_to_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        if len(scrapes) == 1:
            raise ValueError("no figures")

    scrapes: list[str] = []
    registry = CollectorRegistry()
    registry.register(Slow(fail))
    async with serve_prometheus(port=0, registry=registry) as endpoint:
        scrapes.append("one")
        assert (await fetch(endpoint.url)).status == 500
        scrapes.append("two")
        assert "slow_total 1.0" in (await fetch(endpoint.url)).text
    assert "no figures" in caplog.text


# The real one


def _binary() -> str:
    found = shutil.which("prometheus")
    if found is None and os.environ.get("CI"):
        pytest.fail("there is no prometheus here; CI installs it (Debian's package `prometheus`)")
    if found is None:
        pytest.skip("there is no prometheus here (Debian's package `prometheus`)")
    return found


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@asynccontextmanager
async def prometheus(target: PrometheusEndpoint, folder: Path) -> AsyncGenerator[str]:
    """Run a real Prometheus that scrapes an endpoint; give the address of its own API."""
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "trioakt", "static_configs": [{"targets": [f"{target.host}:{target.port}"]}]}],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))  # JSON is YAML
    port = _free_port()
    command = [
        _binary(),
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/api/v1/query"
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(10) as patience:
                await process.wait()
            if patience.cancelled_caught:
                process.kill()
                await process.wait()


async def tells(api: str, query: str, expected: float) -> None:
    """Return when a Prometheus answers a query with this value."""
    found: list[dict[str, Any]] = []
    while [float(each["value"][1]) for each in found] != [expected]:
        await trio.sleep(0.1)
        try:
            answer = await fetch(f"{api}?{urllib.parse.urlencode({'query': query})}")
        except OSError:  # it is still starting
            continue
        found = json.loads(answer.text)["data"]["result"] if answer.status == 200 else []


async def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    with provided() as provider:
        async with (
            ActorSystem("bank", extensions=[Metrics(provider)]) as system,
            serve_prometheus(port=0) as endpoint,
            prometheus(endpoint, tmp_path) as api,
        ):
            ada = await system.spawn(Recorder)
            for _ in range(42):
                ada.tell(Note())
            ada.tell(Boom(ValueError()))
            await settle()
            with trio.fail_after(60):
                await tells(api, 'trioakt_actor_handled_total{trioakt_actor_kind="Recorder"}', 43)
                await tells(api, 'trioakt_actor_restarts_total{trioakt_system="bank"}', 1)
                await tells(api, "sum(trioakt_mailbox_depth)", 0)
                await tells(api, "sum(trioakt_actor_handling_duration_seconds_count)", 43)
                await tells(api, 'up{job="trioakt"}', 1)
