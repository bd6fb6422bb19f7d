"""Logs of the processes: one line an event on standard error, phrase first, data as fields behind it."""

import logging
import sys
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Fields(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = [f"{name}={value!r}" for name, value in vars(record).items() if name not in _STANDARD]
        # Fields go on the first line, before a traceback, so that the line says by itself what it is about.
        head, newline, rest = line.partition("\n")
        return " ".join([head, *fields]) + newline + rest


def configure(level: int = logging.INFO) -> None:
    """Log to standard error; to be called once, by the process's own main."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Fields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # connections say themselves what became of them


def quiet(library: str) -> logging.Logger:
    """A logger for a library that reports every message at INFO: only what goes wrong is heard."""
    logger = logging.getLogger(library)
    logger.setLevel(logging.WARNING)
    return logger
