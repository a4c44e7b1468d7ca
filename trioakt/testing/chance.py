"""Chance for simulations: Trio's scheduler follows a seed. The one place that knows where Trio keeps its own chance."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from random import Random
from typing import Any

_trio: Any = import_module("trio._core._run")
"""Trio shuffles the tasks of each pass. It has a switch that makes the order repeatable, made for Hypothesis, and no
public name for it."""


@contextmanager
def repeatable(rng: Random) -> Generator[None]:
    """Let what Trio leaves to chance in this block come from ``rng``, and nothing happen at the whim of the collector.

    A reference cycle that is freed may end an ask, and when the collector runs depends on all that ran before.
    """
    before = _trio._r, _trio._ALLOW_DETERMINISTIC_SCHEDULING
    collects = gc.isenabled()
    gc.disable()
    _trio._r, _trio._ALLOW_DETERMINISTIC_SCHEDULING = rng, True
    try:
        yield
    finally:
        _trio._r, _trio._ALLOW_DETERMINISTIC_SCHEDULING = before
        if collects:
            gc.enable()
