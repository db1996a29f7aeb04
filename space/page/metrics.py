"""Tell a machine how the page does: /healthz, and /metrics for Prometheus where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from gradio import Blocks
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from space.engine import Engine
from space.page.votes import VERDICTS
from space.page.watch import Served
from space.settings import VERSION, Settings, SettingsError

SECONDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)  # bounds of the histograms


class Metrics:
    """Counts for Prometheus, without any word of a visitor."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # process_resident_memory_bytes and others
        self.calls = Counter(
            "shelftalk_calls", "Calls by kind and end.", ["kind", "outcome"], registry=registry
        )
        self.errors = Counter("shelftalk_errors", "Errors by kind.", ["error"], registry=registry)
        self.tokens = Counter(
            "shelftalk_tokens", "Tokens that were written.", ["column"], registry=registry
        )
        self.first_token = Histogram(
            "shelftalk_first_token_seconds",
            "From a call to its first token.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self.seconds = Histogram(
            "shelftalk_call_seconds",
            "From a call to its end.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self.found = Counter(
            "shelftalk_searched_answers",
            "Answers that looked for records, by whether there were any.",
            ["found"],
            registry=registry,
        )
        self.facts = Counter(
            "shelftalk_checked_answers",
            "Tuned answers by the worst of their facts.",
            ["facts"],
            registry=registry,
        )
        self.votes = Counter(
            "shelftalk_votes", "Votes of the blind test.", ["verdict"], registry=registry
        )
        for verdict in VERDICTS:
            self.votes.labels(verdict)

    def record(self, served: Served) -> None:
        """Count one call, or a vote of the blind test."""
        if served.kind == "vote":
            self.votes.labels(served.outcome).inc()
            return
        self.calls.labels(served.kind, served.outcome).inc()
        self.seconds.labels(served.kind).observe(served.seconds)
        if served.error:
            self.errors.labels(served.error).inc()
        if served.first_token is not None:
            self.first_token.labels(served.kind).observe(served.first_token)
        for column, count in served.tokens.items():
            self.tokens.labels(column).inc(count)
        if served.found is not None:
            self.found.labels("yes" if served.found else "no").inc()
        if served.facts:
            self.facts.labels(served.facts).inc()

    def follow(self, engine: Engine, count_waiting: Callable[[], int]) -> None:
        """Read what runs and what waits whenever Prometheus asks."""
        for name, words, read in (
            ("running", "Answers that are being written.", lambda: engine.load()[0]),
            ("line", "Answers that the model's batch has no room for.", lambda: engine.load()[1]),
            ("queue", "Events that wait in the page's queue.", count_waiting),
        ):
            Gauge(f"shelftalk_{name}", words, registry=self.registry).set_function(read)


@dataclass(frozen=True)
class Readings:
    """What is asked when a page is asked how it does."""

    engine: Engine
    metrics: Metrics | None


# Of each page; its routes find it by the page of their app.
READINGS: WeakKeyDictionary[Blocks, Readings] = WeakKeyDictionary()


def open_metrics(settings: Settings) -> Metrics | None:
    """Make the counts where the settings want them, or raise SettingsError."""
    if not settings.metrics:
        return None
    try:
        return Metrics()
    except ImportError:
        raise SettingsError(
            "METRICS is on but prometheus-client is not installed: pip install prometheus-client, "
            "or unset METRICS",
            settings,
        ) from None


def health_routes(settings: Settings) -> list[BaseRoute]:
    """List the routes that stand before gradio's own."""
    routes: list[BaseRoute] = [Route("/healthz", _healthz)]
    if settings.metrics:
        routes.append(Route("/metrics", _metrics))
    return routes


def _healthz(request: Request) -> Response:
    """Say whether the page is up, and what it has to do."""
    page: Any = request.app.get_blocks()
    readings = READINGS.get(page)
    if readings is None:
        return JSONResponse({"status": "not configured", "version": VERSION}, 503)
    running, line = readings.engine.load()
    alive = not page._queue.stopped
    content = {
        "status": "ok" if alive else "queue stopped",
        "version": VERSION,
        "running": running,
        "waiting": line + len(page._queue),
    }
    return JSONResponse(content, 200 if alive else 503)


def _metrics(request: Request) -> Response:
    readings = READINGS.get(request.app.get_blocks())
    if readings is None or readings.metrics is None:
        return PlainTextResponse("", 503)
    text = generate_latest(readings.metrics.registry)
    return PlainTextResponse(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
