"""The users who get the tests of a push, with their variables."""

from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

from push_blaster.adapters.audiences.audience_csv import open_audience
from push_blaster.adapters.audiences.audience_scripts import list_output
from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.audiences.script_files import open_plain
from push_blaster.domain.audiences.audience import (
    KIND_COLUMN,
    TOKEN_COLUMN,
    AudienceBindingError,
    AudienceRow,
    bind_audience,
    read_user_ids,
)
from push_blaster.domain.executions.execution import Execution, LogLevel
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import StepContext, note

#: How many of the script's TEST rows are used when the automation names no test users.
MAX_TEST_ROWS: Final = 20


def find_test_rows(
    context: StepContext, execution: Execution, position: int, audience: Path
) -> list[AudienceRow]:
    """Return the test users with the variables of the audience's first row.

    If the automation names nobody, they are the TEST rows of the script. Nobody stands in for a
    user who is named and cannot be reached.
    """
    if execution.automation.settings.test_user_ids:
        real = read_batch(audience, 0, 1)[0].variables
        reach = {TOKEN_COLUMN, KIND_COLUMN}
        variables = {name: value for name, value in real.items() if name not in reach}
        return [AudienceRow(user_id, variables) for user_id in _read_users(context, execution)]
    wanted = execution.automation.pushes[position - 1].audience_name
    return _read_test_rows(audience.parent / "output", wanted)


def _read_users(context: StepContext, execution: Execution) -> list[UUID]:
    users, others = read_user_ids(execution.automation.settings.test_user_ids)
    for text in others:
        complaint = f"settings.testUserIds: {text!r} is no user id (a UUID); left out."
        note(context, execution.id, Phase.TEST_SENDING, complaint, LogLevel.WARNING)
    return users


def _read_test_rows(output: Path, wanted: str) -> list[AudienceRow]:
    try:
        source = bind_audience(wanted, list(list_output(output).values()), is_test=True)
    except AudienceBindingError:
        return []
    with open_plain(output / source.file_name) as file:
        rows = open_audience(file, source.file_name).rows
        good = islice((row for row in rows if not row.problem), MAX_TEST_ROWS)
        return [AudienceRow(UUID(row.user_id), row.variables) for row in good]
