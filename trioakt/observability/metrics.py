"""Metrics: what a system does, by kind of actor, for OpenTelemetry; it knows its API alone, and no exporter.

Everything is counted in the thread of the system, in plain integers of one series for each kind, and read when it is
collected. Only durations are given to OpenTelemetry one by one, as it has no other way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import trio
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from trioakt import ActorRestarted, ActorStarted, ActorStopped, DeadLetter, DeadLetterReason
from trioakt.lowlevel import AskOutcome, Instrument, kind_of
from trioakt.observability.survey import Survey

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.metrics import Histogram, Meter, MeterProvider

    from trioakt.lowlevel import ActorRef, Ask, CoreSystem, Envelope, Event, Listener

_MOST_KINDS = 1_000
"""Kinds of one system with a series of their own, so that made-up names cannot grow without a bound."""
_OTHERS = "_other"

_BUCKETS = [unit * power for power in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0) for unit in (1, 2.5, 5)]
"""Seconds: from ten microseconds, a quick handler, to a slow minute."""


class _Series(AbstractContextManager[None]):
    """What is counted about one kind of actor; written in the thread of its system alone, read in any.

    It is entered around each handler.
    """

    def __init__(self, system: str, kind: str) -> None:
        self.attributes = {"trioakt.system": system, "trioakt.actor.kind": kind}
        self.alive = 0
        self.handled = 0
        self.restarts = 0
        self.asks = dict.fromkeys(AskOutcome, 0)

    def __enter__(self) -> None:
        """Begin to handle a message."""

    def __exit__(self, *_: object) -> None:
        self.handled += 1


class _Board:
    """The instruments of one meter provider, over all systems: OpenTelemetry calls an observer for ever."""

    def __init__(self, meter: Meter) -> None:
        self.series: dict[tuple[str, str], _Series] = {}
        self.letters: dict[str, Counter[DeadLetterReason]] = {}
        self.surveys: dict[str, Survey] = {}
        self.handling = meter.create_histogram(
            "trioakt.actor.handling.duration",
            unit="s",
            description="How long handlers take",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self.asking = meter.create_histogram(
            "trioakt.ask.duration",
            unit="s",
            description="How long askers wait",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        counter, gauge = meter.create_observable_counter, meter.create_observable_up_down_counter
        counter("trioakt.actor.handled", [self._handled], "{message}", "Messages that handlers have ended with")
        counter("trioakt.actor.restarts", [self._restarts], "{restart}", "Restarts of actors")
        counter("trioakt.asks", [self._asks], "{ask}", "Asks that have ended, by outcome")
        counter("trioakt.dead_letters", [self._dead_letters], "{message}", "Messages no handler took, by reason")
        gauge("trioakt.actors", [self._alive], "{actor}", "Actors that live")
        gauge("trioakt.mailbox.depth", [self._depth], "{message}", "Messages that wait in mailboxes")

    def _observe(self, figure: Callable[[_Series], int]) -> Iterator[Observation]:
        for each in tuple(self.series.values()):
            yield Observation(figure(each), each.attributes)

    def _handled(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observe(lambda each: each.handled)

    def _restarts(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observe(lambda each: each.restarts)

    def _alive(self, _: CallbackOptions) -> Iterator[Observation]:
        return self._observe(lambda each: each.alive)

    def _asks(self, _: CallbackOptions) -> Iterator[Observation]:
        for each in tuple(self.series.values()):
            for outcome, count in each.asks.items():
                if count:
                    yield Observation(count, {**each.attributes, "trioakt.ask.outcome": _word(outcome)})

    def _dead_letters(self, _: CallbackOptions) -> Iterator[Observation]:
        for system, letters in tuple(self.letters.items()):
            for reason, count in tuple(letters.items()):
                yield Observation(count, {"trioakt.system": system, "trioakt.dead_letter.reason": _word(reason)})

    def _depth(self, options: CallbackOptions) -> Iterator[Observation]:
        for system, survey in tuple(self.surveys.items()):
            for kind, depth in survey.take().items():
                yield Observation(depth, {"trioakt.system": system, "trioakt.actor.kind": kind})


_boards: WeakKeyDictionary[MeterProvider, _Board] = WeakKeyDictionary()
_default: list[_Board] = []


def _board_of(provider: MeterProvider | None) -> _Board:
    if provider is None or provider is metrics.get_meter_provider():
        if not _default:
            _default.append(_Board(metrics.get_meter("trioakt")))
        return _default[0]
    if provider not in _boards:
        _boards[provider] = _Board(provider.get_meter("trioakt"))
    return _boards[provider]


class Metrics(Instrument):
    """Measures a system: ``ActorSystem(..., extensions=[Metrics(provider)])``.

    Every figure has the attribute ``trioakt.system``, and those about actors ``trioakt.actor.kind``, the name of the
    class or recipe. What is cut up further: asks by ``trioakt.ask.outcome`` (``replied``, ``failed``, ``given_up``),
    dead letters by ``trioakt.dead_letter.reason``, durations of what failed by ``error.type``.

    Figures outlive the system, as counters must; one that is opened later under the same name goes on with them.

    Args:
        provider: A meter provider of OpenTelemetry; without one, its global one.
        durations: Whether to measure how long handlers and asks take. That is most of the cost: the other figures are
            plain integers, which are read when they are collected.
    """

    def __init__(self, provider: MeterProvider | None = None, *, durations: bool = True) -> None:
        self._board = _board_of(provider)
        self._durations = durations
        self._system: CoreSystem | None = None
        self._kinds: dict[str, _Series] = {}
        self._end = ExitStack()

    def opened(self, system: CoreSystem) -> None:
        """Begin to measure.

        Raises:
            RuntimeError: It measures another system.
        """
        if self._system is not None:
            raise RuntimeError(f"these Metrics measure {self._system.name!r}; give each system its own")
        self._system, self._kinds = system, {}
        self._board.letters.setdefault(system.name, Counter())
        self._board.surveys[system.name] = Survey(system)
        self._end.enter_context(system.events.listen(self._started, ActorStarted))
        self._end.enter_context(system.events.listen(self._stopped, ActorStopped))
        self._end.enter_context(system.events.listen(self._restarted, ActorRestarted))
        self._end.enter_context(system.events.listen(self._died, DeadLetter))

    def closed(self, system: CoreSystem) -> None:
        """End with the system."""
        if self._system is system:
            self._system = None
            self._end.close()
            self._board.surveys.pop(system.name, None)

    def handling(
        self, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]
    ) -> AbstractContextManager[None]:
        """Count the message, and measure how long the handler takes."""
        series = self._kinds.get(kind) or self._series(kind)
        return _Timed(series, self._board.handling) if self._durations else series

    def asked(self, ref: ActorRef, kind: str, ask: Ask) -> Listener | None:
        """Count the ask by its outcome, and measure how long the asker waits."""
        series = self._kinds.get(kind) or self._series(kind)
        return partial(self._ended, series, trio.current_time())

    def _ended(self, series: _Series, began: float, outcome: AskOutcome, error: BaseException | None) -> None:
        series.asks[outcome] += 1
        if not self._durations:
            return
        attributes = {**series.attributes, "trioakt.ask.outcome": _word(outcome)}
        if error is not None:
            attributes["error.type"] = _name_of(type(error))
        self._board.asking.record(trio.current_time() - began, attributes)

    def _series(self, kind: str) -> _Series:
        assert self._system is not None
        name = self._system.name
        known = kind if len(self._kinds) < _MOST_KINDS else _OTHERS
        series = self._board.series.get((name, known))
        if series is None:
            series = self._board.series[name, known] = _Series(name, known)
        if known is kind:
            self._kinds[kind] = series
        return series

    def _of(self, event: Event) -> _Series:
        return self._series(kind_of(getattr(event.ref.recipient, "factory", type(event.ref.recipient))))

    def _started(self, event: Event) -> None:
        self._of(event).alive += 1

    def _stopped(self, event: Event) -> None:
        self._of(event).alive -= 1

    def _restarted(self, event: Event) -> None:
        self._of(event).restarts += 1

    def _died(self, event: DeadLetter) -> None:
        assert self._system is not None
        self._board.letters[self._system.name][event.reason] += 1


class _Timed(AbstractContextManager[None]):
    """Counts and measures one handling."""

    __slots__ = ("_began", "_durations", "_series")

    def __init__(self, series: _Series, durations: Histogram) -> None:
        self._series = series
        self._durations = durations

    def __enter__(self) -> None:
        self._began = trio.current_time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._series.handled += 1
        attributes = self._series.attributes
        if kind is not None:
            attributes = {**attributes, "error.type": _name_of(kind)}
        self._durations.record(trio.current_time() - self._began, attributes)


def _word(value: AskOutcome | DeadLetterReason) -> str:
    return value.name.lower()


def _name_of(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
