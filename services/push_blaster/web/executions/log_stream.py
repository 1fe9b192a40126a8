"""An execution's log as server-sent events: followed to its end, resumable, with heartbeats."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from flask import Response, request

from chassis.bearer_auth import caller_name
from chassis.client_disconnects import watch_client
from chassis.http.ending import ENDING
from chassis.http.streams import FAREWELL, StreamBudget
from chassis.postgres import Database
from push_blaster.adapters.executions.execution_log import LogEntry, select_log
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.domain.executions.execution import Execution

#: How often a followed log is read, and how often a silent one sends a heartbeat.
FOLLOW_S: Final = 0.5
HEARTBEAT_S: Final = 15.0
#: How long a stream goes on; its client comes back then, and is asked again who it is.
LASTS_S: Final = 300.0
#: The streams of this process.
_STREAMS: Final = StreamBudget()
#: No entry of a log has a greater id.
MAX_ID: Final = 2**62


@dataclass(frozen=True, slots=True)
class StreamShape:
    """The format of a stream: the id and data of an entry, and the last event."""

    entry_id: Callable[[int], str]
    entry: Callable[[LogEntry], Mapping[str, Any]]
    farewell: Callable[[Execution], str]


def stream_log(database: Database, execution_id: str, after: int, shape: StreamShape) -> Response:
    """Answer with the log's entries after `after`, as they come, until the execution has ended.

    If this process ends before, or after five minutes, the last words let the client come back with
    its last id.
    Raises: TooManyRequests, ServiceUnavailable if too many streams are open.
    """
    is_gone = watch_client(request.environ)
    return Response(
        _STREAMS.admit(caller_name(), _follow(database, execution_id, after, shape, is_gone)),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def sse(data: Mapping[str, Any], event_id: str | None = None) -> str:
    """Return one event on the wire."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}data: {orjson.dumps(data).decode()}\n\n"


def _follow(
    database: Database,
    execution_id: str,
    after: int,
    shape: StreamShape,
    is_gone: Callable[[], bool],
) -> Iterator[str]:
    began_at = silent_since = time.monotonic()
    while not is_gone():
        with database.transaction() as connection:
            execution = select_execution(connection, execution_id)
            entries = select_log(connection, execution_id, after)
        for entry in entries:
            after = entry.id
            silent_since = time.monotonic()
            yield sse(shape.entry(entry), shape.entry_id(after))
        if execution.has_ended and not entries:
            yield shape.farewell(execution)
            return
        if time.monotonic() - silent_since >= HEARTBEAT_S:
            silent_since = time.monotonic()
            yield ": still here\n\n"
        is_over = time.monotonic() - began_at >= LASTS_S
        if ENDING.wait(0 if entries else FOLLOW_S) or is_over:
            yield FAREWELL
            return
