"""How our exceptions are told to clients."""

from collections.abc import Mapping
from typing import Final

from chassis.postgres import DatabaseAwayError
from chassis.problems import Problem

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    DatabaseAwayError: Problem(503, "Database away"),
}
