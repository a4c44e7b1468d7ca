"""trioakt without instruments: their hook is not even called."""

from __future__ import annotations

from benchmarks.contenders.subject import WORKLOADS as CORE

_TOLD = ("tell_hook", "tell_correlation", "tell_counts", "tell_metrics", "tell_unsampled", "tell_tracing")

WORKLOADS = dict.fromkeys(_TOLD, CORE["tell"])
