"""Traces reach whoever speaks OTLP: a receiver over HTTP that reads them as OpenTelemetry's own messages."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from typing import Any, Final

import pytest

from attorn.contracts.refusal import Unavailable
from attorn.services import traces
from attorn.services.supervise.server import Broker
from attorn.services.supervise.supervisor import Child, ChildFailed, spawn, until_ready
from attorn_services import ROOTS, Services, until
from observed import observed

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CALLER: Final = "b7ad6b7169203331"
INSTALLED: Final = bool(entry_points(group="opentelemetry_traces_exporter", name="otlp_proto_http"))
"""The extra `otlp`."""


class Receiver:
    """A collector that keeps what it was sent, by the path on which it came."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, bytes]] = []
        self.port = 0

    def spans(self) -> dict[str, Any]:
        """The spans of TRACE by name, each with its service."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # type: ignore[import-not-found, unused-ignore]
            ExportTraceServiceRequest,
        )

        found: dict[str, Any] = {}
        for path, kind, body in self.received:
            assert (path, kind) == ("/v1/traces", "application/x-protobuf")
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                said = {each.key: each.value.string_value for each in of_resource.resource.attributes}
                for of_scope in of_resource.scope_spans:
                    for span in of_scope.spans:
                        if span.trace_id.hex() == TRACE:
                            found[span.name] = (said["service.name"], span)
        return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Who sends is no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


async def define(services: Services) -> None:
    await services.people("ana")
    body = b'{"work_id": "W-traced", "title": "x", "accountable": "ana"}'
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    await services.nc.request("attorn.cmd.ana.work.define", body, timeout=5, headers=headers)


async def test_one_trace_is_sent_from_the_door_to_the_view_or_it_is_said_what_to_install(fresh_nats: Broker) -> None:
    with receiving() as receiver:
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        if not INSTALLED:
            argv = (sys.executable, "-m", "attorn.services.main", "--nats-url", fresh_nats.url)
            child = Child(name="services", argv=argv, environment={"PYTHONPATH": ROOTS, **environment})
            with pytest.raises(ChildFailed) as failed:
                await until_ready(child, await spawn(child, fresh_nats.data / "logs"))
            assert "pip install 'attorn[otlp]'" in "".join(failed.value.lines)
            return
        async with observed(fresh_nats, **environment) as both:
            await define(both.services)

            async def all_there() -> bool:
                return {"command work.define", "relay", "fold"} <= receiver.spans().keys()

            await until(all_there)
    (service, door), (_, relayed), (views, folded) = (
        receiver.spans()[name] for name in ("command work.define", "relay", "fold")
    )
    assert (service, views) == ("attorn-services", "attorn-projector")
    assert door.parent_span_id.hex() == CALLER
    assert relayed.parent_span_id == folded.parent_span_id == door.span_id
    assert {each.key: each.value.string_value for each in door.attributes}["attorn.outcome"] == "recorded"
    assert 0 < door.start_time_unix_nano <= door.end_time_unix_nano


def test_a_protocol_that_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke")
    with pytest.raises(Unavailable, match=r"OTEL_EXPORTER_OTLP_PROTOCOL=smoke is not one of http/protobuf, grpc"):
        traces.configure("test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    with pytest.raises(Unavailable, match=r"OTEL_TRACES_EXPORTER=otlp is not installed; there is .*console"):
        traces.configure("test")
