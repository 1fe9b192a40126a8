"""Logs: one line an event, JSON for machines or coloured text for a person."""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["json", "console"]

QUIET_LIBRARIES = ("procrastinate", "alembic", "urllib3", "google.auth", "werkzeug")


def configure_logs(service: str, log_format: LogFormat = "json") -> None:
    """Send our events and those of libraries to standard error, marked with `service`."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        _mark(service),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(log_format),
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def _mark(service: str) -> structlog.types.Processor:
    def mark(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {**event, "service": service}

    return mark


def _renderer(log_format: LogFormat) -> structlog.types.Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer()
