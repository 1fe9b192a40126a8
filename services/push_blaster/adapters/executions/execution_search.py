"""Counts of executions that fit a filter, and the search for a text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.execution_conditions import FITS, filter_values
from push_blaster.domain.executions.execution_filter import (
    EVERYTHING,
    ExecutionFilter,
    find_choice,
    find_result,
)
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase

#: Counts and searches look at this many executions, the newest ones.
LOOKED_AT: Final = 100_000


@dataclass(frozen=True, slots=True)
class ExecutionCounts:
    """How many executions fit a filter, and how many would fit with another mode or result.

    Shape: only the newest 100,000 executions are counted.
    """

    total: int
    by_mode: Mapping[str, int]
    by_result: Mapping[str, int]


class FoundExecution(NamedTuple):
    """An execution that a search has found."""

    id: str
    automation_name: str
    mode: str
    phase: str
    slot: datetime


def count_executions(connection: Connection, fitting: ExecutionFilter) -> ExecutionCounts:
    """Return how many executions fit the filter."""
    sql = f"""
        SELECT mode, phase, count(*)
          FROM (SELECT e.mode, e.phase FROM executions e
                 WHERE {FITS} ORDER BY e.created_at DESC LIMIT %(looked_at)s) newest
         GROUP BY mode, phase
    """  # noqa: S608 - a constant
    every = replace(fitting, modes=EVERYTHING.modes, phases=EVERYTHING.phases)
    values = {**filter_values(every), "looked_at": LOOKED_AT}
    total, by_mode, by_result = 0, Counter[str](), Counter[str]()
    for mode, phase, count in fetch_all(connection, sql, values):
        fits_mode, fits_phase = mode in fitting.modes, phase in fitting.phases
        total += count if fits_mode and fits_phase else 0
        by_mode[find_choice(Mode(mode))] += count if fits_phase else 0
        by_result[find_result(Phase(phase))] += count if fits_mode else 0
    return ExecutionCounts(total, by_mode, by_result)


def search_executions(connection: Connection, text: str, limit: int) -> list[FoundExecution]:
    """Return executions whose id or name contains the text, in any case, the newest first."""
    sql = """
        SELECT id, automation_name, mode, phase, slot
          FROM (SELECT * FROM executions ORDER BY created_at DESC LIMIT %(looked_at)s) newest
         WHERE strpos(lower(id), %(text)s) > 0 OR strpos(lower(automation_name), %(text)s) > 0
         ORDER BY id = %(exact)s DESC, created_at DESC
         LIMIT %(limit)s
    """
    values: dict[str, Any] = {"text": text.lower(), "exact": text, "limit": limit}
    return fetch_all(connection, sql, {**values, "looked_at": LOOKED_AT}, make=FoundExecution)
