"""Remove an execution for good: its rows, and the folder of its audiences."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

from chassis.postgres import Connection
from chassis.rows import execute
from push_blaster.domain.executions.modes import Mode

#: The tables whose rows no foreign key deletes with the execution.
_OF_THE_EXECUTION: Final = ("deliveries", "execution_log")


def delete_execution(connection: Connection, execution_id: str, modes: Collection[Mode]) -> bool:
    """Remove an execution of one of `modes` that has ended, with its last batch; else False."""
    sql = """
        DELETE FROM executions e
         WHERE id = %(id)s AND ended_at IS NOT NULL AND mode = ANY(%(modes)s)
           AND NOT EXISTS (SELECT 1 FROM send_batches b
                            WHERE b.execution_id = e.id AND b.done_at IS NULL)
    """
    deleted = execute(connection, sql, {"id": execution_id, "modes": list(modes)})
    if deleted:
        for table in _OF_THE_EXECUTION:
            sql = f"DELETE FROM {table} WHERE execution_id = %s"  # noqa: S608 - a constant
            execute(connection, sql, (execution_id,))
    return deleted == 1


def delete_execution_folder(data_folder: Path, execution_id: str) -> None:
    """Remove the files of the execution's script and its frozen audiences, if there are any."""
    shutil.rmtree(data_folder / "executions" / execution_id, ignore_errors=True)
