"""Logs, correlation ids, metrics, traces and health of a system, and a Prometheus endpoint; each when it is asked for.

A name whose third-party package is not installed raises ``ModuleNotFoundError``, which says which extra brings it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from trioakt.observability.correlation import Correlation, correlated, correlation_id
from trioakt.observability.lines import json_line, text_line

if TYPE_CHECKING:
    from trioakt.observability.health import HealthEndpoint, open_health_server
    from trioakt.observability.logs import LogWriter, open_logging
    from trioakt.observability.metrics import Metrics
    from trioakt.observability.prometheus import PrometheusEndpoint, serve_prometheus
    from trioakt.observability.tracing import Tracing

__all__ = [
    "Correlation",
    "HealthEndpoint",
    "LogWriter",
    "Metrics",
    "PrometheusEndpoint",
    "Tracing",
    "correlated",
    "correlation_id",
    "json_line",
    "open_health_server",
    "open_logging",
    "serve_prometheus",
    "text_line",
]

_HOMES = {
    "HealthEndpoint": ("health", "health"),
    "LogWriter": ("logs", "logs"),
    "Metrics": ("metrics", "metrics"),
    "PrometheusEndpoint": ("prometheus", "prometheus"),
    "Tracing": ("tracing", "metrics"),
    "open_health_server": ("health", "health"),
    "open_logging": ("logs", "logs"),
    "serve_prometheus": ("prometheus", "prometheus"),
}
"""Module and extra of the names that need one: they are loaded when they are first asked for."""

if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home, extra = _HOMES[name]
        try:
            module = import_module(f"{__name__}.{home}")
        except ModuleNotFoundError as missing:
            text = f"{name} needs {missing.name}: pip install 'trioakt[{extra}]'"
            raise ModuleNotFoundError(text, name=missing.name) from missing
        return getattr(module, name)
