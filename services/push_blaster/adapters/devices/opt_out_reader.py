"""Opt-outs for work in a process of its own, which connects to the database anew."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.domain.devices.opt_out import OptOut


class OptOutReader:
    """Reads the opt-outs of users; pickle carries it to another process."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    def __reduce__(self) -> tuple[object, ...]:
        """Become, in another process, a reader with a connection of its own."""
        return _connect, (self._database.url,)

    def read(self, users: Sequence[UUID], at: datetime) -> list[OptOut]:
        """Return all opt-outs of `users` that hold at an instant."""
        with self._database.transaction() as connection:
            return select_opt_outs_of(connection, users, at)


def _connect(url: str) -> OptOutReader:
    return OptOutReader(Database(url, max_connections=1))
