"""Traces: one order on its way through three actors, drawn from the spans that OpenTelemetry collects."""

import trio
import trio.testing
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trioakt import Actor, ActorFailedError, ActorRef, ActorSystem, Context, Request, message
from trioakt.observability import Tracing


@message
class Order(Request[str]):
    item: str


@message
class InStock(Request[int]):
    item: str


@message
class Remind:
    item: str


class Warehouse(Actor):
    def receive(self, ctx: Context, msg: InStock) -> None:
        ctx.reply({"lamp": 3}[msg.item])


class Office(Actor):
    def receive(self, ctx: Context, msg: Remind) -> None:
        print("to be ordered again:", msg.item)


class Till(Actor):
    def __init__(self, warehouse: ActorRef[InStock], office: ActorRef[Remind]) -> None:
        self.warehouse = warehouse
        self.office = office

    async def receive(self, ctx: Context, msg: Order) -> None:
        left = await self.warehouse.ask(InStock(msg.item))
        if left < 5:
            ctx.system.scheduler.once(3600.0, self.office, Remind(msg.item))  # the trace goes on in an hour
        ctx.reply(f"one of {left}")


def draw(spans: tuple[ReadableSpan, ...], parent: int | None = None, level: int = 0) -> None:
    for span in spans:
        above = span.parent.span_id if span.parent else None
        if above == parent and span.context:
            failed = "" if span.status.is_ok or span.status.is_unset else f"  ! {span.status.description}"
            print(f"{'   ' * level}{span.name} ({span.kind.name.lower()}){failed}")
            draw(spans, span.context.span_id, level + 1)


async def main() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()  # OpenTelemetry's own: sampling and export are yours to set up
    provider.add_span_processor(SimpleSpanProcessor(kept))

    async with ActorSystem("shop", extensions=[Tracing(provider)]) as system:
        warehouse = await system.spawn(Warehouse)
        office = await system.spawn(Office)
        till = await system.spawn(Till, warehouse, office)
        for item in "lamp", "sofa":
            try:
                print(item, await till.ask(Order(item)))
            except ActorFailedError as error:
                print(item, error)
        await trio.sleep(3600)
        await trio.testing.wait_all_tasks_blocked()
    draw(kept.get_finished_spans())


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: an hour costs nothing
