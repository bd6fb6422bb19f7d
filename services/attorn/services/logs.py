"""Logs of the processes: one line an event on standard error, phrase first, data as fields behind it.

`--log-format`, or ATTORN_LOG_FORMAT, says how a line is written: `text`, for people, or `json`, one object a line, for
programs. Inside of a traced request each line names the trace.
"""

import json
import logging
import os
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from attorn.contracts.refusal import Unreadable

FORMATS: Final = ("text", "json")

trace: ContextVar[str | None] = ContextVar("trace", default=None)
"""The trace id of the request that is being answered, 32 hexadecimal digits."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = [f"{name}={value!r}" for name, value in _fields(record).items()]
        # Fields go on the first line, before a traceback, so that the line says by itself what it is about.
        head, newline, rest = line.partition("\n")
        return " ".join([head, *fields]) + newline + rest


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        } | _fields(record)
        if record.exc_info and record.exc_info[1] is not None:
            said["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(said, default=str, ensure_ascii=False)


def configure(format: str | None = None, level: int = logging.INFO) -> None:
    """Log to standard error; to be called once, by the process's own main. Raises Unreadable for an unknown format.

    Where `format` is None, the environment says it.
    """
    field = "ATTORN_LOG_FORMAT" if format is None else "--log-format"
    format = format if format is not None else os.environ.get("ATTORN_LOG_FORMAT") or "text"
    if format not in FORMATS:
        raise Unreadable(f"{format!r} is not one of {', '.join(FORMATS)}", field)
    os.environ["ATTORN_LOG_FORMAT"] = format  # a process that this one starts writes as it does
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # connections say themselves what became of them


def quiet(library: str) -> logging.Logger:
    """A logger for a library that reports every message at INFO: only what goes wrong is heard."""
    logger = logging.getLogger(library)
    logger.setLevel(logging.WARNING)
    return logger


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    within = trace.get()
    return found if within is None else found | {"trace": within}
