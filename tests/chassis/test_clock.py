"""One clock for all processes: the database's, carried on by monotonic time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from chassis.clock import AGREED_FOR, DRIFT, Comparison, ReferenceClock, utc_now
from chassis.postgres import Database, compare_clocks
from local_stack.embedded_postgres import EmbeddedPostgres

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOURS = timedelta(hours=2)


@dataclass
class Machines:
    """A machine and the machine of its database: their clocks, which somebody may set."""

    uptime: float = 1_000.0
    machine: datetime = NOON
    database: datetime = NOON
    way_s: float = 0.001

    def __post_init__(self) -> None:
        self.clock = ReferenceClock(lambda: self.uptime, lambda: self.machine)

    def pass_(self, seconds: float) -> None:
        self.uptime += seconds
        self.machine += timedelta(seconds=seconds)
        self.database += timedelta(seconds=seconds)

    def compare(self) -> Comparison:
        def ask() -> datetime:
            self.pass_(self.way_s)
            answer = self.database
            self.pass_(self.way_s)
            return answer

        return self.clock.compare(ask)

    def agree_for(self, seconds: int) -> None:
        for _ in range(seconds):
            self.pass_(1)
            self.compare()


@pytest.fixture
def machines() -> Machines:
    machines = Machines()
    machines.compare()
    return machines


def test_before_the_first_comparison_the_machine_is_asked() -> None:
    assert Machines(machine=NOON + HOURS).clock.now() == NOON + HOURS


@pytest.mark.parametrize("off", [timedelta(minutes=5), timedelta(minutes=-5), HOURS, -HOURS])
def test_a_clock_that_is_off_is_told_and_not_followed(off: timedelta) -> None:
    machines = Machines(machine=NOON + off)

    found = machines.compare()
    machines.pass_(90)

    assert abs(found.ahead - off) <= found.uncertainty == timedelta(milliseconds=1)
    assert not machines.clock.holds
    assert timedelta(0) <= machines.database - machines.clock.now() <= timedelta(milliseconds=1)


@pytest.mark.parametrize("jump", [HOURS, -HOURS, 3 * SECOND])
def test_a_jump_of_the_machine_alone_changes_nothing(machines: Machines, jump: timedelta) -> None:
    machines.machine += jump

    found = machines.compare()

    assert abs(found.ahead - jump) <= found.uncertainty
    assert not machines.clock.holds
    assert machines.clock.now() <= machines.database


@pytest.mark.parametrize("jump", [HOURS, -HOURS, 3 * SECOND, -3 * SECOND])
def test_a_jump_together_with_the_database_holds_for_a_minute(
    machines: Machines, jump: timedelta
) -> None:
    machines.machine += jump
    machines.database += jump
    before = machines.clock.now()

    found = machines.compare()

    assert before < NOON + SECOND, "until it is noticed, nothing is early"
    assert found.jump is not None
    assert abs(found.jump - jump) <= timedelta(milliseconds=2)
    machines.agree_for(59)
    assert machines.clock.holds
    machines.agree_for(2)
    assert not machines.clock.holds
    assert timedelta(0) <= machines.database - machines.clock.now() <= timedelta(milliseconds=1)


def test_a_machine_that_slept_holds_too(machines: Machines) -> None:
    machines.machine += HOURS  # monotonic time stands still meanwhile
    machines.database += HOURS

    assert machines.compare().jump is not None


def test_a_second_jump_begins_the_minute_anew(machines: Machines) -> None:
    machines.database += HOURS
    machines.compare()
    machines.agree_for(50)
    machines.database -= HOURS
    machines.compare()

    machines.agree_for(50)
    assert machines.clock.holds
    machines.agree_for(11)
    assert not machines.clock.holds


def test_a_database_that_is_away_for_the_minute_has_not_agreed(machines: Machines) -> None:
    machines.database += HOURS
    machines.compare()
    machines.pass_(2 * AGREED_FOR.total_seconds())
    machines.database += HOURS

    assert machines.compare().jump is not None
    assert machines.clock.holds


@pytest.mark.parametrize("drift", [DRIFT / 2, -DRIFT / 2])
def test_a_small_difference_is_followed(machines: Machines, drift: timedelta) -> None:
    machines.database += drift
    machines.compare()

    assert not machines.clock.holds
    assert timedelta(0) <= machines.database - machines.clock.now() <= timedelta(milliseconds=1)


@pytest.mark.parametrize("way_s", [1, 20])
def test_a_slow_answer_is_no_jump_and_changes_nothing(machines: Machines, way_s: float) -> None:
    machines.way_s = way_s

    found = machines.compare()

    assert found.jump is None
    assert found.uncertainty == timedelta(seconds=way_s)
    assert timedelta(0) <= machines.database - machines.clock.now() <= timedelta(milliseconds=1)


def test_a_jump_shows_through_a_slow_answer(machines: Machines) -> None:
    machines.way_s = 5
    machines.database += HOURS

    assert machines.compare().jump is not None
    assert machines.clock.now() <= machines.database


@pytest.mark.parametrize("jump", [HOURS, -HOURS, 3 * SECOND, -60 * SECOND])
def test_a_duration_counts_no_jump(machines: Machines, jump: timedelta) -> None:
    begun_at = machines.clock.now()
    machines.agree_for(10)
    machines.database += jump
    machines.compare()
    later_at = machines.clock.now()
    machines.agree_for(20)

    now = machines.clock.now()
    assert abs(now - machines.clock.shift(begun_at) - 30 * SECOND) < SECOND
    assert abs(now - machines.clock.shift(later_at) - 20 * SECOND) < SECOND


def test_a_duration_counts_none_of_several_jumps(machines: Machines) -> None:
    stamps = []
    for jump in (HOURS, 3 * SECOND, -HOURS, 10 * SECOND):
        stamps.append(machines.clock.now())
        machines.agree_for(10)
        machines.database += jump
        machines.compare()

    now = machines.clock.now()
    assert [round((now - machines.clock.shift(at)).total_seconds()) for at in stamps] == [
        40,
        30,
        20,
        10,
    ]


@pytest.mark.parametrize("jump", [HOURS, -HOURS])
@pytest.mark.parametrize("drift", [0.02, -0.02])
def test_a_drift_after_a_jump_does_not_make_a_fresh_stamp_old(
    machines: Machines, jump: timedelta, drift: float
) -> None:
    before_at = machines.clock.now()
    machines.agree_for(10)
    machines.database += jump
    for _ in range(600):
        machines.agree_for(1)
        machines.database += timedelta(seconds=drift)

    fresh, moved = machines.clock.now(), timedelta(seconds=600 * drift)
    assert machines.clock.shift(fresh) == fresh
    assert abs(fresh - machines.clock.shift(before_at) - 610 * SECOND - moved) < 5 * SECOND


def test_stamps_of_before_the_process_and_without_a_jump_stay(machines: Machines) -> None:
    machines.agree_for(5)

    for at in (NOON - HOURS, NOON, machines.clock.now() + SECOND):
        assert machines.clock.shift(at) == at


def test_the_process_goes_by_its_database(postgres: EmbeddedPostgres) -> None:
    database = Database(postgres.url("postgres"), max_connections=1)
    with database.transaction() as connection:
        compared = compare_clocks(connection)
        mine = utc_now()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (its,) = cursor.fetchone() or (None,)
    database.close()

    assert compared.jump is None
    assert mine <= its
