"""Pushes that were sent, their receipts, and what is counted of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute, fetch_all
from push_blaster.domain.engagement.receipt import ReceiptKeys
from push_blaster.use_cases.engagement.fold_reports import fold_reports
from tests.people import ALICE

HOUR = timedelta(hours=1)
#: The key of all receipts of tests, which the app of all tests remembers.
KEY_NUMBER = 200
KEY = b"the key of receipts in the tests"
_INSERT_KEY = """
    INSERT INTO receipt_keys (number, key, made_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_INSERT = """
    INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                               automation_name, push_id, layer_id, mode, is_counted, variants,
                               texts_digest, zone, goal_name, goal_hours, sent_at, week)
    VALUES (%(number)s, %(position)s, %(execution_id)s, %(automation_id)s, 'News', 'push-1', 3,
            'live', %(is_counted)s, %(variants)s, %(texts)s, 'UTC', %(goal)s, %(hours)s,
            %(sent_at)s, %(week)s)
"""


def keep_receipt_key(database: Database) -> None:
    """Sign with the key of all tests: an app that reads receipts remembers the key for a second."""
    with database.transaction() as connection:
        execute(connection, _INSERT_KEY, (KEY_NUMBER, KEY, utc_now()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPush:
    """A push that was sent an hour ago, unless the test says otherwise."""

    number: int = 1
    position: int = 1
    automation_id: str = "news"
    is_counted: bool = True
    variants: Sequence[str] = ()
    texts: str = "texts"
    goal: str | None = None
    hours: int | None = None
    ago: timedelta = HOUR

    @property
    def execution_id(self) -> str:
        return f"{self.automation_id}@{self.number}"

    def insert(self, database: Database) -> "SentPush":
        sent_at = utc_now() - self.ago
        monday = (sent_at - timedelta(days=sent_at.weekday())).date()
        names = ("number", "position", "automation_id", "is_counted", "texts", "goal", "hours")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        values |= {"execution_id": self.execution_id, "variants": list(self.variants)}
        with database.transaction() as connection:
            execute(connection, _INSERT, {**values, "sent_at": sent_at, "week": monday})
        return self

    def receipt(self, database: Database, user_id: UUID = ALICE, **changes: Any) -> str:
        variant = changes.pop("variant", 0)
        keep_receipt_key(database)
        keys = ReceiptKeys({KEY_NUMBER: KEY}, KEY_NUMBER)
        flags = {"is_test": False, "is_dry_run": False, **changes}
        return keys.writer(self.number, self.position, **flags)(user_id, variant)

    def event(self, database: Database, event: str = "opened", **changes: Any) -> dict[str, Any]:
        """Return an event as a phone reports it; `at`, `action` and `scope` are its own."""
        own: dict[str, Any] = {n: changes.pop(n) for n in ("at", "action", "scope") if n in changes}
        if isinstance(own.get("at"), datetime):
            own["at"] = own["at"].isoformat()
        return {"receipt": self.receipt(database, **changes), "event": event, **own}

    def offer(
        self, database: Database, user_id: UUID = ALICE, state: str = "sent", **columns: Any
    ) -> None:
        """Give a user a row in the ledger, as a send does."""
        row = {
            "execution_id": self.execution_id,
            "position": self.position,
            "is_test": False,
            "user_id": user_id,
            "state": state,
            "batch": 1,
            "claimed_at": utc_now(),
            **columns,
        }
        values = ", ".join(f"%({name})s" for name in row)
        sql = f"INSERT INTO deliveries ({', '.join(row)}) VALUES ({values})"  # noqa: S608 - our own names
        with database.transaction() as connection:
            execute(connection, sql, row)


def fold(database: Database, should_stop: Callable[[], bool] = lambda: False) -> int:
    return fold_reports(database, should_stop)


def counted(database: Database) -> dict[tuple[int, int, int], Mapping[str, Any]]:
    """Return the counters that are not 0, by number of the execution, position and variant."""
    with database.transaction() as connection:
        rows: list[dict[str, Any]] = fetch_all(
            connection, "SELECT * FROM result_counts", make=dict, by_name=True
        )
    keys = ("execution_number", "position", "variant")
    return {
        (row["execution_number"], row["position"], row["variant"]): {
            name: number for name, number in row.items() if number and name not in keys
        }
        for row in rows
    }


def stored_events(database: Database) -> list[tuple[Any, ...]]:
    """Return event, action and instant of each event, in the order of their instants."""
    sql = "SELECT event, action, at FROM events ORDER BY at, event, action"
    with database.transaction() as connection:
        return fetch_all(connection, sql)
