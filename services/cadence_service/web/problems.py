"""How the exceptions of this service are answered."""

from collections.abc import Mapping
from typing import Final

from cadence_service.adapters.report_queue import ReportsBusyError
from cadence_service.use_cases.change_rules import (
    RuleExistsError,
    RuleNotFoundError,
    StaleRulesError,
    TooManyRulesError,
)
from cadence_service.use_cases.import_history import (
    ImportNotFoundError,
    ImportsBusyError,
    ImportUndoneError,
)
from cadence_service.use_cases.reserve_audience import (
    ReservationConflictError,
    ReservationEndedError,
)
from cadence_service.use_cases.settle_reservation import ReservationNotFoundError
from chassis.postgres import DatabaseAwayError, PoolFullError, ValueRefusedError
from chassis.problems import Problem

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    ValueRefusedError: Problem(400, "A value does not fit"),
    DatabaseAwayError: Problem(503, "Database away"),
    PoolFullError: Problem(503, "Service busy", retry_after=1),
    ImportNotFoundError: Problem(404, "No such import"),
    ImportUndoneError: Problem(409, "Import undone"),
    ImportsBusyError: Problem(503, "Imports busy", retry_after=60),
    ReservationConflictError: Problem(409, "Key used before"),
    ReservationEndedError: Problem(409, "Reservation ended"),
    ReservationNotFoundError: Problem(404, "No such reservation"),
    ReportsBusyError: Problem(503, "Reports busy", retry_after=10),
    RuleExistsError: Problem(409, "Rule exists"),
    RuleNotFoundError: Problem(404, "No such rule"),
    TooManyRulesError: Problem(409, "Too many rules"),
    StaleRulesError: Problem(412, "Changed meanwhile"),
}
