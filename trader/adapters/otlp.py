"""Spans to an OpenTelemetry collector, over OTLP and HTTP, from a thread of their own: nobody waits for a collector, and none is needed.

What cannot be handed over is dropped, and said once. It knows spans and no facts.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span as OpenSpan
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context

from trader.core.spans import Span

PATH = "/v1/traces"
EXPORT_SECONDS, CLOSE_SECONDS = 3.0, 3.0


class Collector:
    """Where traces go. `tell` hears when they begin and cease to be taken; it is called from another thread."""

    def __init__(
        self, url: str, *, service: dict[str, str], tell: Callable[[bool], None], every_seconds: float = 2.0
    ) -> None:  # fmt: skip
        logging.getLogger("opentelemetry").setLevel(
            logging.CRITICAL
        )  # its errors name the address, which may hold a secret
        endpoint = url if url.endswith(PATH) else url.rstrip("/") + PATH
        exporter = _Telling(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS), tell)
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "trader", **service}), id_generator=self._ids, shutdown_on_exit=False
        )  # fmt: skip
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=every_seconds * 1_000))
        self._tracer = self._provider.get_tracer("trader")

    def take(self, key: str, trace: Span) -> None:
        """Put a trace in the line of what is sent; where the line is full, the oldest is dropped."""
        self._ids.trace = trace_id(key)
        _start(self._tracer, trace, None)

    async def close(self) -> None:
        """Send what is in line, for a moment; what a collector does not take by then is lost."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSE_SECONDS)


def trace_id(key: str) -> int:
    """The id of the trace of a publication: the first half of the SHA-256 of its key, so that it can be looked up."""
    return int.from_bytes(sha256(key.encode()).digest()[:16], "big")


def _start(tracer: Tracer, span: Span, outer: OpenSpan | None) -> None:
    context = None if outer is None else set_span_in_context(outer)
    made = tracer.start_span(span.name, context=context, start_time=span.begin_ns, attributes=dict(span.attributes))
    if span.error:
        made.set_status(Status(StatusCode.ERROR, span.error))
    for one in span.inner:
        _start(tracer, one, made)
    made.end(max(span.end_ns, span.begin_ns))


class _Ids(IdGenerator):
    """The trace's id is given, those of its spans are random."""

    trace = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return secrets.randbits(64) or 1


class _Telling(SpanExporter):
    """Passes spans on, and tells when that begins and ceases to work."""

    def __init__(self, exporter: SpanExporter, tell: Callable[[bool], None]) -> None:
        self._exporter, self._tell = exporter, tell
        self._is_up: bool | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_up = result is SpanExportResult.SUCCESS
        if is_up != self._is_up:
            self._is_up = is_up
            self._tell(is_up)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
