"""Metrics: what a shop does, by kind of actor, at an address that a Prometheus scrapes."""

import urllib.request

import trio
import trio.testing
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from trioakt import Actor, ActorSystem, Context, Request, message
from trioakt.observability import Metrics, serve_prometheus

PRICES = {"lamp": 12.5, "chair": 40.0}
SHOWN = {"error_type", "trioakt_ask_outcome", "trioakt_dead_letter_reason"}


@message
class Price(Request[float]):
    item: str


class Till(Actor):
    def receive(self, ctx: Context, msg: Price) -> None:
        ctx.reply(PRICES[msg.item])


async def main() -> None:
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])  # OpenTelemetry's own: it is yours to set up
    async with (
        ActorSystem("shop", extensions=[Metrics(provider)]) as system,
        serve_prometheus("127.0.0.1", 0) as endpoint,
    ):
        tills = [await system.spawn(Till) for _ in range(3)]
        for till in tills:
            await till.ask(Price("lamp"))
        tills[0].tell(Price("sofa"))  # a KeyError: that till is restarted
        await trio.testing.wait_all_tasks_blocked()
        tills[1].stop()
        await tills[1].wait_stopped()
        tills[1].tell(Price("lamp"))

        show(await trio.to_thread.run_sync(read, endpoint.url))
    provider.shutdown()


def read(url: str) -> str:
    """What Prometheus does every few seconds."""
    with urllib.request.urlopen(url) as response:
        text: str = response.read().decode()
        return text


def show(page: str) -> None:
    """Print each figure with what it is cut up by; the system and the kind of actor are the same here."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            by = {name: value for name, value in sample.labels.items() if name in SHOWN and value}
            if sample.name.startswith("trioakt") and not sample.name.endswith(("_bucket", "_sum")):
                print(f"{sample.name:45} {sample.value:2.0f}  {', '.join(by.values())}".rstrip())


if __name__ == "__main__":
    trio.run(main)
