"""The users who get the tests of a push, with their variables."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

from push_blaster.adapters.audiences.audience_csv import open_audience
from push_blaster.adapters.audiences.audience_scripts import list_output
from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.audiences.script_files import open_plain
from push_blaster.adapters.devices.named_devices import select_named_devices
from push_blaster.domain.audiences.audience import (
    KEYS_COLUMN,
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
    """Return the test users and test devices with the variables of the audience's first row.

    If the automation names nobody, they are the TEST rows of the script. Nobody stands in for a
    user or device that is named and cannot be reached.
    """
    if execution.automation.settings.names_testers:
        real = read_batch(audience, 0, 1)[0].variables
        reach = {TOKEN_COLUMN, KIND_COLUMN, KEYS_COLUMN}
        variables = {name: value for name, value in real.items() if name not in reach}
        users = dict.fromkeys(_read_users(context, execution), variables)
        devices = _find_devices(context, execution)
        return [
            AudienceRow(user_id, {**variables, **own})
            for user_id, own in {**users, **devices}.items()
        ]
    wanted = execution.automation.pushes[position - 1].audience_name
    return _read_test_rows(audience.parent / "output", wanted)


def _read_users(context: StepContext, execution: Execution) -> list[UUID]:
    users, others = read_user_ids(execution.automation.settings.test_user_ids)
    for text in others:
        complaint = (
            f"The test user {text!r} is no user id (a UUID), and gets no test "
            "(settings.testUserIds)."
        )
        note(context, execution.id, Phase.TEST_SENDING, complaint, LogLevel.WARNING)
    return users


def _find_devices(context: StepContext, execution: Execution) -> Mapping[UUID, Mapping[str, str]]:
    """Return the columns that lead to each named test device; a removed one has none."""
    ids, _ = read_user_ids(execution.automation.settings.test_device_ids)
    with context.database.transaction() as connection:
        found = {device.id: device.address for device in select_named_devices(connection, ids)}
    lost = [str(device_id) for device_id in ids if device_id not in found]
    if lost:
        complaint = f"{', '.join(lost)} is no test device any more (settings.testDeviceIds)."
        note(context, execution.id, Phase.TEST_SENDING, complaint, LogLevel.WARNING)
    return {
        device_id: {TOKEN_COLUMN: at.token, KIND_COLUMN: at.kind, KEYS_COLUMN: at.keys}
        if (at := found.get(device_id))
        else {}
        for device_id in ids
    }


def _read_test_rows(output: Path, wanted: str) -> list[AudienceRow]:
    try:
        source = bind_audience(wanted, list(list_output(output).values()), is_test=True)
    except AudienceBindingError:
        return []
    with open_plain(output / source.file_name) as file:
        rows = open_audience(file, source.file_name).rows
        good = islice((row for row in rows if not row.problem), MAX_TEST_ROWS)
        return [AudienceRow(UUID(row.user_id), row.variables) for row in good]
