"""A random story of executions, events and conversions, and its counts in plain Python."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from chassis.postgres import Connection, Database
from chassis.rows import execute, fetch_value, insert_many
from push_blaster.adapters.engagement.conversion_table import insert_conversions
from push_blaster.adapters.engagement.event_inbox import insert_events
from push_blaster.adapters.funnels import keep_funnels
from push_blaster.domain.engagement.conversion import Conversion
from push_blaster.domain.engagement.event import Event, EventKind
from push_blaster.use_cases.engagement.count_results import count_results
from push_blaster.use_cases.engagement.fold_reports import fold_reports

BEGIN = datetime(2026, 11, 2, 10, tzinfo=UTC)
STATES = ("sent", "sent", "sent", "sent", "failed", "token_dead", "in_doubt", "held_back")
USERS = [UUID(int=n) for n in range(1, 41)]
GOAL_HOURS = 30
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Row:
    """A user of a push in the ledger."""

    user: UUID
    state: str
    reason: str | None
    variant: str | None

    def find_arm(self, variants: list[str]) -> int:
        if self.state == "holdout":
            return -2 if self.reason == "held out of every automation" else -1
        return variants.index(self.variant) + 1 if self.variant in variants else 0


@dataclass
class SentPush:
    """A push of the story, as the ledger and the table of pushes have it."""

    number: int
    execution_id: str
    automation_id: str
    position: int
    push_id: str
    layer_id: int
    variants: list[str]
    texts: str
    goal: str | None
    sent_at: datetime
    is_counted: bool
    is_running: bool
    rows: list[Row] = field(default_factory=list)

    @property
    def texts_key(self) -> Key:
        return self.automation_id, self.push_id, self.texts


class Story:
    """What happens, step by step, in the database and beside it."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.random = database, Random(seed)  # noqa: S311 - a story, no secret
        self.pushes: list[SentPush] = []
        self.events: set[tuple[int, int, UUID, str, str]] = set()
        self.firsts: dict[tuple[Key, UUID, str], int] = {}
        self.counts: defaultdict[tuple[int, int, int], defaultdict[str, Decimal]] = defaultdict(
            lambda: defaultdict(Decimal)
        )
        self.attributed: set[tuple[int, UUID]] = set()
        self.keys = 0

    def tell(self, days: int) -> None:
        """Let each automation run every few hours, and users do something between the runs."""
        for n in range(days * 3):
            at = BEGIN + timedelta(hours=8 * n)
            automation = self.random.choice(["news", "offers"])
            is_last = n == days * 3 - 1
            self._run(automation, at, is_counted=self.random.random() < 0.85, is_running=is_last)
            self._report(at + timedelta(hours=3))
            if self.random.random() < 0.7:
                count_results(self.database)
                self._mark_counted()
        self._report(BEGIN + timedelta(days=days))

    def finish(self) -> None:
        """Count all that has ended."""
        for _ in range(3):
            count_results(self.database)
        self._mark_counted()

    def sum_up(self, key_of: Callable[[SentPush, int], Key]) -> dict[Key, dict[str, Decimal]]:
        """Return the sums of the counters by a key; a key of None counts nowhere."""
        sums: dict[Key, dict[str, Decimal]] = {}
        by_place = {(one.number, one.position): one for one in self.pushes if one.is_counted}
        for (number, position, arm), counts in self.counts.items():
            if (number, position) in by_place:
                own = sums.setdefault(key_of(by_place[number, position], arm), defaultdict(Decimal))
                for name, count in counts.items():
                    own[name] += count
        return sums

    def _run(self, automation: str, at: datetime, *, is_counted: bool, is_running: bool) -> None:
        execution_id = f"{automation}@{at:%Y%m%dT%H%M%S}Z"
        texts = self.random.choice(["old", "new"])
        goal = "order" if automation == "news" else self.random.choice([None, "order"])
        mode = "live" if is_counted else "simulation"
        with self.database.transaction() as connection:
            number = insert_execution(connection, execution_id, automation, mode, at, is_running)
            offered = set[UUID]()
            for position in range(1, 1 + self.random.randint(1, 2)):
                push = SentPush(
                    number=number,
                    execution_id=execution_id,
                    automation_id=automation,
                    position=position,
                    push_id=f"push {position}",
                    layer_id=2 + position,
                    variants=["A", "=B", "C"][: self.random.choice([0, 2, 3])],
                    texts=texts,
                    goal=goal,
                    sent_at=at,
                    is_counted=is_counted,
                    is_running=is_running,
                )
                push.rows = self._draw_rows(push)
                insert_push(connection, push)
                self.pushes.append(push)
                self._note_sent(push)
                offered |= {row.user for row in push.rows}
            keep_funnels(connection)

    def _draw_rows(self, push: SentPush) -> list[Row]:
        rows = []
        for user in self.random.sample(USERS, self.random.randint(10, 35)):
            if user.int % 10 == 0:
                reason = "held out of every automation" if user.int == 40 else "held out of this"
                rows.append(Row(user, "holdout", reason, None))
                continue
            state = self.random.choice(STATES) if push.is_counted else "dry_run"
            variant = push.variants[user.int % len(push.variants)] if push.variants else None
            rows.append(Row(user, state, None, None if state == "held_back" else variant))
        return rows

    def _note_sent(self, push: SentPush) -> None:
        """Count what a funnel tells: a user in doubt counts with the push's own texts."""
        self.counts[push.number, push.position, 0]["sent"] += 0
        for row in push.rows:
            arm = row.find_arm(push.variants)
            if row.state in ("sent", "failed", "token_dead"):
                name = "sent" if row.state == "sent" else "failed"
                self.counts[push.number, push.position, arm][name] += 1
            if row.state == "in_doubt":
                self.counts[push.number, push.position, 0]["in_doubt"] += 1

    def _report(self, now: datetime) -> None:
        """Let users report events, some late, twice or of several devices; and conversions."""
        with self.database.transaction() as connection:
            events = [self._draw_event(now) for _ in range(self.random.randint(20, 60))]
            events += self.random.sample(events, len(events) // 3)
            self.random.shuffle(events)
            for n in range(0, len(events), 7):
                insert_events(connection, events[n : n + 7], now)
            conversions = [self._draw_conversion(now) for _ in range(8)]
            insert_conversions(connection, conversions, now)
            insert_conversions(connection, conversions[:3], now)
        fold_reports(self.database)
        self._note_events(events)
        self._note_conversions(conversions)

    def _draw_event(self, now: datetime) -> Event:
        reached = [(p, r) for p in self.pushes for r in p.rows if r.state in ("sent", "dry_run")]
        push, row = self.random.choice(reached)
        kind = self.random.choice(list(EventKind))
        return Event(
            execution_number=push.number,
            position=push.position,
            variant=row.find_arm(push.variants),
            user_id=row.user,
            kind=kind,
            action=self.random.choice(["yes", "no"]) if kind is EventKind.ACTION else "",
            at=push.sent_at + (now - push.sent_at) * self.random.random(),
            counts=push.is_counted,
        )

    def _note_events(self, events: Iterable[Event]) -> None:
        counted = {(p.number, p.position): p for p in self.pushes if p.is_counted}
        names = {"delivered": "delivered", "opened": "opened", "dismissed": "dismissed"}
        names |= {"action": "actions", "opted_out": "opted_out"}
        acted = {key[:4] for key in self.events}
        for event in sorted(events, key=lambda one: one.at):
            push = counted.get((event.execution_number, event.position))
            key = (event.execution_number, event.position, event.user_id, event.kind.value)
            if push is None or (*key, event.action) in self.events:
                continue
            self.events.add((*key, event.action))
            if key in acted:
                continue
            acted.add(key)
            counts = self.counts[push.number, push.position, event.variant]
            counts[names[event.kind]] += 1
            first = {"opened": "first_opened", "action": "first_acted"}.get(event.kind)
            if first:
                counts[first] += self._note_first(push, event.user_id, event.kind.value)

    def _draw_conversion(self, now: datetime) -> Conversion:
        self.keys += 1
        return Conversion(
            key=f"order {self.keys}",
            user_id=self.random.choice(USERS),
            goal=self.random.choice(["order", "order", "visit"]),
            value=self.random.choice([None, Decimal("12.5000")]),
            at=now - timedelta(minutes=self.random.randint(0, 40 * 60)),
        )

    def _note_conversions(self, conversions: Iterable[Conversion]) -> None:
        found = [
            (one, *offer)
            for one in sorted(conversions, key=lambda each: each.at)
            for automation in ("news", "offers")
            if (offer := self._find_offer(one, automation))
        ]
        for one, push, arm in found:
            counts = self.counts[push.number, push.position, arm]
            counts["conversions"] += 1
            counts["value"] += one.value or 0
            if (push.number, one.user_id) not in self.attributed:
                self.attributed.add((push.number, one.user_id))
                counts["converted"] += 1
                counts["first_converted"] += self._note_first(push, one.user_id, "converted")

    def _note_first(self, push: SentPush, user: UUID, metric: str) -> bool:
        """Return whether the user did it for the first time since the texts changed."""
        is_first = (push.texts_key, user, metric) not in self.firsts
        self.firsts.setdefault((push.texts_key, user, metric), push.number)
        return is_first

    def _find_offer(self, one: Conversion, automation: str) -> tuple[SentPush, int] | None:
        """Return the first push of the latest execution in whose window the user converted."""
        window = timedelta(hours=GOAL_HOURS)
        ids = [
            p.execution_id
            for p in self.pushes
            if p.automation_id == automation and p.is_counted and p.position == 1
            if p.goal == one.goal and p.sent_at <= one.at < p.sent_at + window
        ]
        for execution_id in reversed(ids):
            for push in self.pushes:
                if push.execution_id == execution_id:
                    for row in push.rows:
                        if row.user == one.user_id:
                            return push, row.find_arm(push.variants)
        return None

    def _mark_counted(self) -> None:
        """Count who was offered a turn and who was at risk, of pushes that have ended."""
        for push in self.pushes:
            if push.is_running or not push.is_counted:
                continue
            self._count_assigned(push)
            push.is_running = True  # it is counted once

    def _count_assigned(self, push: SentPush) -> None:
        earlier = {
            row.user
            for other in self.pushes
            if other.number == push.number and other.position < push.position
            for row in other.rows
        }
        for row in push.rows:
            counts = self.counts[push.number, push.position, row.find_arm(push.variants)]
            if row.user not in earlier:
                counts["assigned"] += 1
                counts["first_assigned"] += self._is_new(push, row.user, "converted")
            if row.state == "sent":
                counts["first_at_risk"] += self._is_new(push, row.user, "opened")

    def _is_new(self, push: SentPush, user: UUID, metric: str) -> bool:
        return self.firsts.get((push.texts_key, user, metric), push.number) >= push.number


def insert_execution(
    connection: Connection, id_: str, automation: str, mode: str, at: datetime, is_running: bool
) -> int:
    """Insert a row of `executions`; return its number."""
    sql = """
        INSERT INTO executions (id, automation_id, automation_name, automation_version, mode,
                                trigger, slot, begins_at, phase, due_at, snapshot, created_at,
                                ended_at)
        VALUES (%(id)s, %(automation)s, %(name)s, 1, %(mode)s, 'schedule', %(at)s, %(at)s,
                %(phase)s, %(due_at)s, '{}', %(at)s, %(ended_at)s)
        RETURNING number
    """
    values = {
        "id": id_,
        "automation": automation,
        "name": f"={automation.title()}",
        "mode": mode,
        "at": at,
        "phase": "live_execution" if is_running else "completed",
        "due_at": at if is_running else None,
        "ended_at": None if is_running else at + timedelta(minutes=5),
    }
    return int(fetch_value(connection, sql, values))


def insert_push(connection: Connection, push: SentPush, batch_size: int = 9) -> None:
    """Insert a push with its batches and its ledger, as it is at its end, or as it runs."""
    ended = None if push.is_running else push.sent_at + timedelta(minutes=4)
    sql = """
        INSERT INTO execution_pushes (execution_id, position, status, started_at, ended_at,
                                      generated, valid, distinct_users)
        VALUES (%s, %s, 'sent', %s, %s, %s, %s, %s)
    """
    size = len(push.rows)
    values = (push.execution_id, push.position, push.sent_at, ended, size, size, size)
    execute(connection, sql, values)
    batches = range(-(-size // batch_size))
    insert_many(
        connection,
        "INSERT INTO send_batches (execution_id, position, batch, start_offset, row_count, fence,"
        " done_at) VALUES %s",
        [(push.execution_id, push.position, n, 0, batch_size, 1, ended) for n in batches],
    )
    insert_many(
        connection,
        "INSERT INTO deliveries (execution_id, position, is_test, user_id, state, batch, reason,"
        " variant, claimed_at) VALUES %s",
        [
            (
                *(push.execution_id, push.position, False, row.user.hex, row.state),
                *(n // batch_size, row.reason, row.variant, push.sent_at),
            )
            for n, row in enumerate(push.rows)
        ],
    )
    sql = """
        INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                                   automation_name, push_id, layer_id, mode, is_counted, variants,
                                   texts_digest, zone, goal_name, goal_hours, sent_at, week)
        VALUES (%(number)s, %(position)s, %(execution_id)s, %(automation_id)s, %(name)s,
                %(push_id)s, %(layer_id)s, %(mode)s, %(is_counted)s, %(variants)s, %(texts)s,
                %(zone)s, %(goal)s, %(hours)s, %(sent_at)s, date_trunc('week', %(sent_at)s))
    """
    values_of = {
        "name": f"={push.automation_id.title()}",
        "mode": "live" if push.is_counted else "simulation",
        "zone": "Asia/Tokyo" if push.automation_id == "news" else "America/New_York",
        "hours": GOAL_HOURS if push.goal else None,
        **{name: getattr(push, name) for name in push.__dataclass_fields__},
    }
    execute(connection, sql, values_of)
