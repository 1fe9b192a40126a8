"""The condition in SQL for lists of executions, and of what belongs to executions."""

from typing import Final

from push_blaster.domain.executions.execution_filter import ExecutionFilter

#: The condition that a row of `executions e` fits the filter whose values `filter_values` gives.
FITS: Final = """
    (%(automation_id)s::text IS NULL OR e.automation_id = %(automation_id)s)
    AND e.phase = ANY(%(phases)s) AND e.mode = ANY(%(modes)s)
    AND (%(since)s::timestamptz IS NULL OR e.slot >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.slot < %(until)s)
"""


def filter_values(fitting: ExecutionFilter) -> dict[str, object]:
    """Return the values of the condition FITS."""
    return {
        "automation_id": fitting.automation_id,
        "phases": list(fitting.phases),
        "modes": list(fitting.modes),
        "since": fitting.since,
        "until": fitting.until,
    }
