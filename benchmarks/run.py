"""Measure trioakt beside its floor and its peers: `python -m benchmarks.run [names] [--json FILE] [--quick]`.

A name that is no figure's stands for those that begin with it: `savina` for `savina-bank`, `savina-big` and so on.
Only ratios within one run mean anything, so the contenders of a figure take turns, round by round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.figures import FIGURES, Figure
from benchmarks.peers import CONTENDERS, UnavailableError, last_line
from benchmarks.report import Result

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 1200.0
"""Seconds after which a worker is given up."""


def main() -> int:
    """Measure what the command line names and print the tables; 1 when a contender of our own failed."""
    options = _parse()
    results = [_measure(name, FIGURES[name], quick=options.quick, rounds=options.rounds) for name in options.names]
    for text in (report.verdicts(results, quick=options.quick), report.medians(results), *report.missing(results)):
        print(f"\n{text}")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(results, quick=options.quick), indent=2) + "\n")
    return int(any(report.OURS & result.missing.keys() for result in results))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(FIGURES)}; all without any")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny, once, without verdicts")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each contender (default: 5)")
    options = parser.parse_args()
    if unknown := [name for name in options.names if not _meant(name)]:
        parser.error(f"no such figure: {', '.join(unknown)}")
    options.names = [figure for name in options.names for figure in _meant(name)] or list(FIGURES)
    return options


def _meant(name: str) -> list[str]:
    """Return the figures that a name of the command line stands for."""
    return [name] if name in FIGURES else [figure for figure in FIGURES if figure.startswith(f"{name}-")]


def _measure(name: str, figure: Figure, *, quick: bool, rounds: int) -> Result:
    result = Result(name, figure)
    args = figure.quick if quick else figure.args
    for turn in range(1 if quick else figure.rounds or rounds):
        print(f"{name}: round {turn + 1}", file=sys.stderr, flush=True)
        for contender in figure.contenders:
            if contender in result.missing:
                continue
            try:
                measured = _work(contender, figure, args)
            except (UnavailableError, subprocess.SubprocessError) as error:
                result.missing[contender] = last_line(error)
                result.measured.pop(contender, None)
            else:
                result.measured.setdefault(contender, []).append(measured)
    return result


def _work(contender: str, figure: Figure, args: tuple[int, ...]) -> dict[str, float]:
    entry = CONTENDERS[contender]
    module = f"{figure.suite}.{entry.module}"
    command = [entry.interpreter(), "-m", "benchmarks.worker", module, figure.workload, *map(str, args)]
    if entry.pinned:
        command.append("--pin")
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=LONGEST)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main())
