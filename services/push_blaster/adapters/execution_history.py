"""Reading what became of executions, in few words and in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.postgres import Connection
from push_blaster.domain.phase import Phase


@dataclass(frozen=True, slots=True)
class Run:
    """Where an execution stands, and whether anything of it has, or may have, gone out."""

    id: str
    phase: Phase
    reason: str | None
    has_sent: bool


def select_runs(connection: Connection, execution_ids: Sequence[str]) -> dict[str, Run]:
    """Return those of the executions that there are, by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, phase, reason,
                   EXISTS (SELECT 1 FROM deliveries d
                            WHERE d.execution_id = e.id AND NOT d.is_test
                              AND d.state IN ('sent', 'in_doubt'))
              FROM executions e
             WHERE id = ANY(%(ids)s)
            """,
            {"ids": list(execution_ids)},
        )
        return {row[0]: Run(row[0], Phase(row[1]), row[2], row[3]) for row in cursor}
