"""Instants as clients write them."""

from datetime import UTC, datetime
from typing import Any, Final

from marshmallow import ValidationError, fields

#: Instants beyond are slips of the pen; near year 1 and 9999 they cannot even be told in UTC.
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class InstantField(fields.AwareDateTime):
    """An instant with its offset, between 1970 and 2200; it is read as UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> datetime:
        instant = super()._deserialize(value, attr, data, **options)
        if not EARLIEST <= instant <= LATEST:
            raise ValidationError("Instants lie between 1970 and 2200.")
        return instant.astimezone(UTC)
