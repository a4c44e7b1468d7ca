"""Run one workload of one contender in this process and print what it measured as JSON.

Started by `benchmarks.run`, once for each measurement, so that no contender inherits another's heap; it runs on the
oldest Trio a peer needs and so imports nothing before the contender does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os


def main() -> None:
    """Parse the command line, pin this process where asked and possible, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker")
    parser.add_argument("contender", help="a module below benchmarks, such as contenders.floor")
    parser.add_argument("workload", help="a key of its WORKLOADS")
    parser.add_argument("args", nargs="*", type=int)
    parser.add_argument("--pin", action="store_true", help="stay on one core")
    options = parser.parse_args()
    if options.pin and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    contender = importlib.import_module(f"benchmarks.{options.contender}")
    print(json.dumps(contender.WORKLOADS[options.workload](*options.args)))


if __name__ == "__main__":
    main()
