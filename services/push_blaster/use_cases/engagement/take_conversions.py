"""Take the conversions that a backend reports: each key once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.devices.erased_users import select_erased
from push_blaster.adapters.engagement.conversion_table import (
    StoredConversion,
    insert_conversions,
    select_addressed,
    select_conversions,
)
from push_blaster.domain.engagement.conversion import Conversion, read_conversion
from push_blaster.domain.engagement.event import Refusal, RefusedItem, read_item


@dataclass(frozen=True, slots=True)
class TakenConversions:
    """What became of a report.

    Shape: `repeated` were reported before; of the `accepted`, `never_in_audience` are of users who
    were in the audience of no push, so they count to none.
    """

    accepted: int
    repeated: int
    never_in_audience: int
    refused: int
    problems: Sequence[RefusedItem]


def take_conversions(
    database: Database, items: Sequence[object], now: datetime
) -> TakenConversions:
    """Store the conversions of a report that are new; they are durable when this returns."""
    problems: list[RefusedItem] = []
    read: dict[int, Conversion] = {}
    for index, item in enumerate(items):
        one = read_item(problems, index, read_conversion, item, now)
        if one is not None:
            read[index] = one
    first: dict[str, Conversion] = {}
    for one in read.values():
        first.setdefault(one.key, one)
    with database.transaction() as connection:
        added = insert_conversions(connection, list(first.values()), now)
        stored = select_conversions(connection, list(first))
        erased = select_erased(connection, [one.user_id for one in read.values()])
        users = {first[key].user_id for key in added}
        addressed = select_addressed(connection, list(users))
    problems += _find_unstored(read, stored, erased)
    return TakenConversions(
        accepted=len(added),
        repeated=len(items) - len(added) - len(problems),
        never_in_audience=sum(first[key].user_id not in addressed for key in added),
        refused=len(problems),
        problems=sorted(problems),
    )


def _find_unstored(
    read: Mapping[int, Conversion], stored: Mapping[str, StoredConversion], erased: Collection[UUID]
) -> Iterator[RefusedItem]:
    """Yield the conversions that are not stored, and why."""
    for index, one in read.items():
        if one.user_id in erased:
            yield RefusedItem(index, Refusal.ERASED, "userId: This user was erased.")
        elif stored.get(one.key) != (one.user_id, one.goal):
            text = "key: It stands for a conversion of another user or goal; send a key of its own."
            yield RefusedItem(index, Refusal.KEY_USED, text)
