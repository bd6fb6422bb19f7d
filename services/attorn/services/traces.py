"""Traces from the door to the view: W3C trace context in, spans out through OpenTelemetry, nothing at all when off.

On when OTEL_TRACES_EXPORTER names an exporter that is installed: `console` always is, `otlp` comes with the package
opentelemetry-exporter-otlp. The other variables of OpenTelemetry (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_TRACES_SAMPLER, …) mean what they always mean. Off, an event carries the caller's own trace context on.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from attorn.contracts.refusal import Unavailable
from attorn.services import logs

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger("attorn.traces")

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

_tracer: "Tracer | None" = None


def configure(service: str) -> None:
    """Begin to trace, if the environment says so. Raises Unavailable for an exporter that is not installed."""
    global _tracer
    wanted = os.environ.get("OTEL_TRACES_EXPORTER") or "none"
    if wanted == "none":
        return
    found = entry_points(group="opentelemetry_traces_exporter", name=wanted)
    if not found:
        installed = ", ".join(sorted({each.name for each in entry_points(group="opentelemetry_traces_exporter")}))
        raise Unavailable(f"OTEL_TRACES_EXPORTER={wanted} is not installed; there is {installed}, or none")
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME") or f"attorn-{service}"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: named}))
    provider.add_span_processor(BatchSpanProcessor(next(iter(found)).load()()))
    _tracer = provider.get_tracer("attorn")
    log.info("tracing", extra={"exporter": wanted, "service": named})


def is_on() -> bool:
    return _tracer is not None


@contextmanager
def span(name: str, parent: str | None, **attributes: Any) -> Iterator[str | None]:
    """A span under the trace context `parent`; yields the context that what follows from it stands under.

    Where tracing is off that is `parent` itself. Log lines inside of the block name the trace.
    """
    read = _TRACEPARENT.fullmatch(parent) if parent else None
    token = logs.trace.set(read.group(1)) if read else None
    try:
        if _tracer is None:
            yield parent
            return
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()
        context = propagator.extract({"traceparent": parent} if parent else {})
        with _tracer.start_as_current_span(name, context, attributes=attributes) as current:
            carrier: dict[str, str] = {}
            propagator.inject(carrier)
            own = logs.trace.set(f"{current.get_span_context().trace_id:032x}")
            try:
                yield carrier.get("traceparent", parent)
            finally:
                logs.trace.reset(own)
    finally:
        if token is not None:
            logs.trace.reset(token)


def finish() -> None:
    """Hand over what waits to be exported; before the process ends."""
    global _tracer
    if _tracer is not None:
        provider = getattr(_tracer, "span_processor", None)
        if provider is not None:
            provider.shutdown()
        _tracer = None
