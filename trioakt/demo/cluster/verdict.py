"""The accounts at the end: what the input says, what the cluster says, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from trioakt.demo.cluster.actors import Account, Overview, total

TOP = 12
"""Devices in the table."""


@attrs.frozen
class Verdict:
    """Three accounts of the same readings.

    Attributes:
        expected: What the input says, by device.
        counted: What the devices say.
        overview: What the aggregator says.
        nodes: Which node has each device.
    """

    expected: dict[str, Account]
    counted: dict[str, Account]
    overview: Overview
    nodes: dict[str, str]

    @property
    def wrong(self) -> list[str]:
        """The devices that have not counted what the input says."""
        devices = self.expected.keys() | self.counted.keys()
        return sorted(each for each in devices if self.expected.get(each) != self.counted.get(each))

    @property
    def is_good(self) -> bool:
        """Whether all agree."""
        return not self.wrong and self.overview.account == total(self.expected.values())


def count(lines: Iterable[str]) -> dict[str, Account]:
    """Count the input, with no actor and not in the way of the parsers."""
    accounts: dict[str, Account] = {}
    for line in lines:
        device, _, reading = line.rpartition(":")
        figure, *unit = reading.split()
        if unit == ["kB"]:
            accounts[device] = total([accounts.get(device, Account()), Account(1, int(figure))])
    return accounts


def report(verdict: Verdict) -> str:
    """Put together what is shown at the end."""
    return f"{table(verdict)}\n\n{conclusion(verdict)}"


def table(verdict: Verdict) -> str:
    """Draw the devices that are wrong, then the largest, and the totals."""
    expected, wrong = verdict.expected, verdict.wrong
    ranking = sorted(expected, key=lambda each: (each in wrong, expected[each].kilobytes), reverse=True)
    rows = [_row(device, [device], verdict) for device in ranking[:TOP]]
    if rest := ranking[TOP:]:
        rows.append(_row(f"{len(rest)} more", rest, verdict))
    last = _row(f"total of {len(ranking)}", ranking, verdict)
    cells = [("device", "node", "measured", "counted", "kB measured", "kB counted"), *rows, last]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths) for row in cells]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def conclusion(verdict: Verdict) -> str:
    """Say whether what was promised was kept."""
    expected, overview = total(verdict.expected.values()), verdict.overview
    if verdict.is_good:
        return (
            f"Nothing promised was lost: {expected.readings:,} readings of {len(verdict.expected)} devices are "
            f"counted, each once.\nThe devices, the aggregator on {overview.node} and a count of the input agree on "
            f"{expected.kilobytes:,} kB."
        )
    return (
        f"Something was lost or counted twice: the input has {_text(expected)}, the devices have "
        f"{_text(total(verdict.counted.values()))}, and the aggregator has {_text(overview.account)}.\n"
        f"Devices that differ: {', '.join(verdict.wrong) or 'none'}"
    )


def _text(account: Account) -> str:
    return f"{account.readings:,} readings of {account.kilobytes:,} kB"


def _row(name: str, devices: Sequence[str], verdict: Verdict) -> tuple[str, ...]:
    nodes = {verdict.nodes.get(device, "") for device in devices}
    measured = total(verdict.expected[device] for device in devices)
    counted = total(verdict.counted.get(device, Account()) for device in devices)
    figures = (measured.readings, counted.readings, measured.kilobytes, counted.kilobytes)
    return (name, nodes.pop() if len(nodes) == 1 else "", *(f"{figure:,}" for figure in figures))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = map(str.ljust, cells[:2], widths[:2])
    figures = map(str.rjust, cells[2:], widths[2:])
    return "  ".join([*texts, *figures])
