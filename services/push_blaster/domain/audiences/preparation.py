"""The work on an audience before its test, and its progress."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """The work that is being done on the rows of an audience."""

    READING = "reading"
    FREEZING = "freezing"
    CHECKING = "checking"
    FORECASTING = "forecasting"
    COMPARING = "comparing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationProgress:
    """How far the work on the audiences of an execution was at an instant.

    Shape: `stage` is a Stage, or what a newer version calls its own.
    """

    stage: str
    rows: int
    at: datetime
