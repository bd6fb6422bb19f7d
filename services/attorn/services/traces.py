"""Traces from the door to the view: W3C trace context in, spans out through OpenTelemetry, nothing at all when off.

On when OTEL_TRACES_EXPORTER names an exporter that is installed: `console` always is, `otlp` over HTTP comes with
`pip install 'attorn[otlp]'`. The other variables of OpenTelemetry (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_TRACES_SAMPLER, …) mean what they always mean. Off, an event carries the caller's own trace context on.
"""

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attorn.contracts.refusal import Unavailable
from attorn.services import logs

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

log = logging.getLogger("attorn.traces")

FINISH_S: Final = 1.0
"""How long the end of a process waits for an exporter, which may wait for somebody who is not there."""

_OTLP: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""What the exporters of OTLP are installed as, by OTEL_EXPORTER_OTLP_PROTOCOL; the first is OpenTelemetry's default."""

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class _Tracing(NamedTuple):
    provider: "TracerProvider"
    tracer: "Tracer"


_tracing: _Tracing | None = None


def configure(service: str) -> None:
    """Begin to trace, if the environment says so. Raises Unavailable for an exporter that is not installed."""
    global _tracing
    wanted = os.environ.get("OTEL_TRACES_EXPORTER") or "none"
    if wanted == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    from importlib.metadata import entry_points

    found = entry_points(group="opentelemetry_traces_exporter", name=_installed_as(wanted))
    if not found:
        installed = ", ".join(sorted({each.name for each in entry_points(group="opentelemetry_traces_exporter")}))
        there_is = f"there is {installed or 'nothing'}, or none"
        hint = "; pip install 'attorn[otlp]' brings it for http/protobuf" if wanted == "otlp" else ""
        raise Unavailable(f"OTEL_TRACES_EXPORTER={wanted} is not installed; {there_is}{hint}")
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME") or f"attorn-{service}"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: named}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(next(iter(found)).load()()))
    _tracing = _Tracing(provider, provider.get_tracer("attorn"))
    log.info("tracing", extra={"exporter": wanted, "service": named})


def _installed_as(wanted: str) -> str:
    if wanted != "otlp":
        return wanted
    said = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = said or next(iter(_OTLP))
    if protocol not in _OTLP:
        raise Unavailable(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not one of {', '.join(_OTLP)}")
    return _OTLP[protocol]


def is_on() -> bool:
    return _tracing is not None


@contextmanager
def span(name: str, parent: str | None, **attributes: Any) -> Iterator[str | None]:
    """A span under the trace context `parent`; yields the context that what follows from it stands under.

    Where tracing is off that is `parent` itself, or None when it is no trace context. Log lines inside of the block
    name the trace.
    """
    if _tracing is None:
        read = _TRACEPARENT.fullmatch(parent) if parent else None
        if read is None:
            yield None
            return
        token = logs.trace.set(read.group(1))
        try:
            yield parent
        finally:
            logs.trace.reset(token)
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    with _tracing.tracer.start_as_current_span(name, _context(parent), attributes=attributes) as current:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        token = logs.trace.set(f"{current.get_span_context().trace_id:032x}")
        try:
            yield carrier.get("traceparent", parent)
        finally:
            logs.trace.reset(token)


def note(**attributes: Any) -> None:
    """Say more about the span that is under way."""
    if _tracing is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(attributes)


def mark(name: str, parent: str | None, began_ns: int, ended_ns: int, **attributes: Any) -> None:
    """A span of one thing that was done together with others, from its beginning to its end, nanoseconds since 1970.

    There is none for what carries no trace context: nobody follows it.
    """
    if _tracing is None or parent is None or _TRACEPARENT.fullmatch(parent) is None:
        return
    done = _tracing.tracer.start_span(name, _context(parent), attributes=attributes, start_time=began_ns)
    done.end(ended_ns)


def finish() -> None:
    """Hand over what waits to be exported, within FINISH_S; before the process ends."""
    global _tracing
    if _tracing is not None:
        ending = threading.Thread(target=_tracing.provider.shutdown, name="traces", daemon=True)
        _tracing = None
        ending.start()
        ending.join(FINISH_S)


def _context(parent: str | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # Never under the span that happens to be current: what is under way in this task is no part of another's trace.
    return TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {}, Context())
