"""The language of each user: as the audience says, else as the user's newest device says."""

from collections.abc import Sequence

from chassis.postgres import Connection
from push_blaster.adapters.devices.device_table import select_languages
from push_blaster.domain.audiences.audience import LANGUAGE_COLUMN, AudienceRow
from push_blaster.domain.delivery.template import find_value


def with_languages(connection: Connection, rows: Sequence[AudienceRow]) -> list[AudienceRow]:
    """Return the rows with the languages of devices where the audience says none."""
    unsaid = [row.user_id for row in rows if not find_value(LANGUAGE_COLUMN, row.variables)]
    found = select_languages(connection, unsaid) if unsaid else {}
    return [
        row._replace(variables={**row.variables, LANGUAGE_COLUMN: found[row.user_id]})
        if row.user_id in found
        else row
        for row in rows
    ]
