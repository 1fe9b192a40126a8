"""Stamps that lie ahead of now, after the clock of the database was set back."""

from datetime import datetime, timedelta
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute

#: Engines read the time one after the other; a stamp so little ahead is one of them.
READ_LATER: Final = timedelta(seconds=1)

#: Whatever is due at once, or was due already, is due now; planned instants stay.
_DUE: Final = """
    UPDATE executions e SET due_at = %(now)s
     WHERE due_at > %(ahead)s
       AND (phase IN ('audience_generation', 'test_sending')
            OR (phase = 'live_execution'
                AND (EXISTS (SELECT FROM execution_pushes p
                              WHERE p.execution_id = e.id AND p.status = 'sending')
                     OR NOT EXISTS (SELECT FROM execution_pushes p
                                     WHERE p.execution_id = e.id AND p.ended_at IS NULL))))
"""
#: Work whose dispatch lies in the future now (the clock was set back) is dispatched again. A send
#: that an engine has made ready is dispatched at its own instant, and stays so.
_DISPATCHED: Final = (
    "UPDATE executions SET handed_out_at = NULL WHERE handed_out_at > %(ahead)s AND"
    " handed_out_at <> due_at",
    "UPDATE send_batches SET handed_out_at = NULL WHERE handed_out_at > %(ahead)s AND"
    " done_at IS NULL",
    "UPDATE script_runs SET handed_out_at = NULL WHERE handed_out_at > %(ahead)s AND"
    " state = 'waiting'",
)


def forget_future(connection: Connection, now: datetime) -> None:
    """Make due again what would wait until the clock has come back to where it was."""
    for statement in (_DUE, *_DISPATCHED):
        execute(connection, statement, {"now": now, "ahead": now + READ_LATER})
