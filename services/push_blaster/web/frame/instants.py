"""Instants as clients write them."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields

from push_blaster.domain.zones import FIRST_YEAR, LAST_YEAR, is_near
from push_blaster.web.frame.page_times import read_times


class InstantField(fields.AwareDateTime):
    """An instant with its offset, within the years that is_near allows; it is read as UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> datetime:
        instant = super()._deserialize(value, attr, data, **options)
        if not is_near(instant):
            raise ValidationError(f"Instants lie between {FIRST_YEAR} and {LAST_YEAR}.")
        return instant.astimezone(UTC)


def reader_zone() -> str:
    """Return the zone in which the reader of a page thinks of days."""
    return read_times().zone.key
