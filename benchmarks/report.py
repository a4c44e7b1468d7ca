"""Turn measurements into medians, tables and JSON; knows nothing of how they were made."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.figures import AtLeast, AtMost
from benchmarks.peers import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.figures import Figure

SUBJECT = "trioakt"
OURS = frozenset({SUBJECT, "without", "floor", "bare", "sqlite", "naive"})
"""Contenders whose failure is ours; a peer may be missing."""


@dataclass
class Result:
    """What was measured for one figure, by contender, and why others were not."""

    name: str
    figure: Figure
    measured: dict[str, list[dict[str, float]]] = field(default_factory=dict[str, list[dict[str, float]]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def median(self, contender: str, key: str = "value") -> float | None:
        """Return the median over the rounds, None where nothing was measured."""
        runs = self.measured.get(contender)
        return median(run[key] for run in runs) if runs else None

    def ratio(self, against: str) -> float | None:
        """Return trioakt's median over another contender's."""
        ours, theirs = self.median(SUBJECT), self.median(against)
        return ours / theirs if ours is not None and theirs else None

    def reached(self, bar: AtLeast | AtMost) -> bool | None:
        """Return whether a bar was reached, None where that cannot be told."""
        match bar:
            case AtLeast(factor, against):
                ratio = self.ratio(against)
                return None if ratio is None else ratio >= factor
            case AtMost(limit):
                value = self.median(SUBJECT)
                return None if value is None else value <= limit


def verdicts(results: Sequence[Result], *, quick: bool) -> str:
    """Draw the table of bars: one row for each, and one for a figure without any."""
    rows = [["figure", "trioakt", "beside", "ratio", "bar", "reached", "stretch"]]
    for result in results:
        for bar in result.figure.bars or (None,):
            against = bar.against if isinstance(bar, AtLeast) else result.figure.contenders[1]
            ratio = result.ratio(against)
            rows.append(
                [
                    result.figure.title,
                    _shown(result, SUBJECT),
                    f"{CONTENDERS[against].title} {_shown(result, against)}",
                    "-" if ratio is None else f"{ratio:.2f}",
                    *(("-", "-", "-") if bar is None else _bar(result, bar, quick=quick)),
                ]
            )
    return _table(rows)


def _bar(result: Result, bar: AtLeast | AtMost, *, quick: bool) -> tuple[str, str, str]:
    reached = None if quick else result.reached(bar)
    verdict = "-" if reached is None else "yes" if reached else "no"
    match bar:
        case AtLeast(factor, against, stretch):
            return f"≥ {factor:g} x {against}", verdict, "-" if stretch is None else f"{stretch:g}"
        case AtMost(limit, stretch):
            show = result.figure.unit.show
            return f"≤ {show(limit)}", verdict, "-" if stretch is None else show(stretch)


def medians(results: Sequence[Result]) -> str:
    """Draw the table of all contenders."""
    present = [name for name in CONTENDERS if any(name in result.figure.contenders for result in results)]
    rows = [["figure", *(CONTENDERS[name].title for name in present)]]
    rows += [[result.figure.title, *(_shown(result, name) for name in present)] for result in results]
    return _table(rows)


def _shown(result: Result, contender: str) -> str:
    value = result.median(contender)
    return "-" if value is None else result.figure.unit.show(value)


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    head, *body = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join((head, rule, *body))


def missing(results: Iterable[Result]) -> list[str]:
    """Return one line for each reason why a contender was not measured."""
    figures: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for name, reason in result.missing.items():
            figures.setdefault((CONTENDERS[name].title, reason), []).append(result.name)
    return [f"{title} not measured: {reason} ({', '.join(names)})" for (title, reason), names in figures.items()]


def as_json(results: Iterable[Result], *, quick: bool) -> dict[str, Any]:
    """Return everything measured, as plain data."""
    return {
        "python": platform.python_version(),
        "trio": version("trio"),
        "platform": platform.platform(),
        "quick": quick,
        "figures": {result.name: _figure_json(result) for result in results},
    }


def _figure_json(result: Result) -> dict[str, Any]:
    return {
        "title": result.figure.title,
        "medians": {name: {key: result.median(name, key) for key in runs[0]} for name, runs in result.measured.items()},
        "runs": result.measured,
        "missing": result.missing,
        "bars": [
            {"bar": _bar(result, bar, quick=False)[0], "reached": result.reached(bar)} for bar in result.figure.bars
        ],
    }
