"""A user is erased from every table and every file; what is counted stays."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from chassis.postgres import BulkDatabase
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.devices.device_csv import accept_device
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.opt_out_table import delete_opt_outs, upsert_opt_outs
from push_blaster.adapters.users.erasure_table import LEASE, take_erasure
from push_blaster.adapters.users.kept_places import FOLDERS, TABLES
from push_blaster.domain.devices.opt_out import OptOut, Scope
from push_blaster.domain.engagement.event import Refusal
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.users.erasure import ErasureState
from push_blaster.use_cases.devices.import_devices import import_devices
from push_blaster.use_cases.users.erase_user import ask_for_erasure
from tests.erasures import find_in_files, find_in_tables
from tests.push_blaster.bench import Bench
from tests.push_blaster.use_cases.executions.resuming import resume, sent, stop
from tests.push_blaster.use_cases.users.busy import (
    FIRST,
    NAME,
    TOKEN,
    USER,
    USERS,
    erase,
    go_on,
    make_busy,
    read_receipt,
    report,
    sums,
    track,
)

EVERYBODY = {UUID(int=FIRST + n) for n in range(40)}
#: Of a send that stops after some messages, one user who got it and one who did not.
EARLY, LATE = UUID(int=FIRST), UUID(int=FIRST + 39)


def test_nothing_names_an_erased_user_and_every_count_stays(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    executions = make_busy(bench)
    before, funnels = sums(bench), [bench.funnel(one) for one in executions]
    known = {name for name, table in TABLES.items() if table.columns - set(table.free.split())}
    assert find_in_tables(bench.database, str(USER)) == known
    assert find_in_tables(cadence_database, str(USER)) >= {"user_notifications"}
    assert find_in_files(bench.folder, str(USER)) == FOLDERS.keys() - {"scripts", "running"}

    done = erase(bench)

    assert done.state is ErasureState.DONE, done
    assert find_in_tables(bench.database, str(USER), NAME, TOKEN) == set()
    assert find_in_tables(cadence_database, str(USER)) == set()
    assert find_in_files(bench.folder, str(USER), NAME, TOKEN) == set()
    assert sums(bench) == before
    assert [bench.funnel(one) for one in executions] == funnels


def test_a_stopped_send_is_resumed_without_the_erased_user_and_with_all_others(
    bench: Bench,
) -> None:
    stopped = bench.start(parameters=USERS)
    bench.work_until_sent(5)
    stop(bench, stopped)
    track(bench)
    reached = sent(bench)
    erase(bench, LATE)

    execution = bench.run(resume(bench, stopped))

    assert execution.phase is Phase.COMPLETED, execution.reason
    assert sent(bench) == Counter(str(user) for user in EVERYBODY - {LATE})
    assert len(reached) < len(EVERYBODY)
    assert bench.funnel(execution.id)["optedOut"] == 1
    assert (
        find_in_tables(bench.database, str(LATE)) | find_in_files(bench.folder, str(LATE)) == set()
    )


@pytest.mark.parametrize("took", [timedelta(0), timedelta(seconds=90), timedelta(minutes=3)])
def test_an_erasure_in_mid_send_stops_the_messages_at_once_and_ends_with_the_execution(
    bench: Bench, took: timedelta
) -> None:
    """The request may have come before the execution, and be stored only in mid-send."""
    execution = bench.start(parameters=USERS, pushes=[{}, {"layerId": 1, "delayAfterPrevious": 60}])
    bench.work_until_sent(5)
    asked = erase(bench, LATE, took)
    early = erase(bench, EARLY, took)

    bench.run(execution)
    waiting = [read_receipt(bench, one) for one in (asked, early)]
    track(bench)
    done = [go_on(bench, one) for one in (asked, early)]

    assert asked.state is ErasureState.WAITING
    assert asked.waits_for == f"the end of {execution}"
    assert [one.state for one in waiting] == [ErasureState.WAITING] * 2
    assert sent(bench)[str(LATE)] == 0
    assert [one.state for one in done] == [ErasureState.DONE] * 2, done
    for user in (LATE, EARLY):
        assert find_in_tables(bench.database, str(user)) == set()
        assert find_in_files(bench.folder / "executions", str(user)) == set()


def test_while_cadence_is_away_the_erasure_waits_and_says_so(
    bench: Bench, cadence_database: BulkDatabase
) -> None:
    bench.run(bench.start(parameters=USERS))
    track(bench)
    there = bench.context.cadence
    bench.change(cadence=CadenceClient("http://127.0.0.1:1", "token"))

    asked = erase(bench)
    bench.change(cadence=there)
    left = find_in_tables(bench.database, str(USER))
    known = find_in_tables(cadence_database, str(USER))
    done = go_on(bench, asked)

    assert asked.state is ErasureState.WAITING
    assert (asked.waits_for or "").startswith("the cadence service: ")
    assert left == {"erasures"}
    assert known >= {"user_notifications"}
    assert done.state is ErasureState.DONE
    assert find_in_tables(cadence_database, str(USER)) == set()
    assert find_in_tables(bench.database, str(USER)) == set()


def test_who_is_erased_twice_has_one_erasure_at_a_time(bench: Bench) -> None:
    first = ask_for_erasure(bench.database, USER, bench.now)
    again = ask_for_erasure(bench.database, USER, bench.now)
    go_on(bench, first)

    later = erase(bench)

    assert again == first
    assert later.id != first.id
    assert later.state is ErasureState.DONE


def test_a_user_whom_nobody_knows_is_erased_like_any_other(bench: Bench) -> None:
    erased = erase(bench, UUID(int=4711))

    assert (erased.state, erased.waits_for, erased.notes) == (ErasureState.DONE, None, [])


@pytest.mark.parametrize("steps", [0, 1, 5, 20, 60, 120])
def test_an_engine_that_ends_in_mid_erasure_leaves_the_rest_to_the_next_one(
    bench: Bench, steps: int
) -> None:
    """Each step asks once whether its engine is to end."""
    execution = bench.run(bench.start(parameters=USERS))
    track(bench)
    funnel, left = bench.funnel(execution.id), [steps]

    def ends() -> bool:
        left[0] -= 1
        return left[0] < 0

    asked = ask_for_erasure(bench.database, USER, bench.now)
    bench.change(is_shutting_down=ends)
    go_on(bench, asked)
    bench.change(is_shutting_down=lambda: False)
    done = go_on(bench, asked)

    assert done.state is ErasureState.DONE
    assert find_in_tables(bench.database, str(USER), NAME) == set()
    assert find_in_files(bench.folder / "executions", str(USER), NAME) == set()
    assert bench.funnel(execution.id) == funnel


@pytest.mark.parametrize("step", [2, 3, 10])
def test_what_ends_while_the_erasure_is_at_work_is_erased_in_the_next_look(
    bench: Bench, step: int
) -> None:
    """The first look leaves alone what is under way; it ends during one of its steps."""
    execution = bench.start(parameters=USERS)
    bench.work_until_sent(5)
    steps = [0]

    def ends_the_execution() -> bool:
        steps[0] += 1
        if steps[0] == step:
            bench.run(execution)
            track(bench)
        return False

    asked = ask_for_erasure(bench.database, EARLY, bench.now)
    bench.change(is_shutting_down=ends_the_execution)
    first = go_on(bench, asked)
    bench.change(is_shutting_down=lambda: False)
    done = go_on(bench, asked)

    assert (first.state, done.state) == (ErasureState.WAITING, ErasureState.DONE)
    assert find_in_tables(bench.database, str(EARLY)) == set()
    assert find_in_files(bench.folder / "executions", str(EARLY)) == set()


def test_two_engines_never_erase_the_same_user_at_once(bench: Bench) -> None:
    ask_for_erasure(bench.database, USER, bench.now)

    with bench.database.transaction() as connection:
        first = take_erasure(connection, bench.now)
    with bench.database.transaction() as connection:
        second = take_erasure(connection, bench.now)
    with bench.database.transaction() as connection:
        after_its_death = take_erasure(connection, bench.now + LEASE)

    assert first
    assert second is None
    assert after_its_death == first


def test_an_erased_user_gets_no_push_and_no_device_until_the_user_opts_in_again(
    bench: Bench,
) -> None:
    erase(bench)

    refused = import_devices(bench.database, [accept_device(1, Device(TOKEN, USER))], bench.now)
    first = bench.run(bench.start(parameters=USERS))
    with bench.database.transaction() as connection:
        upsert_opt_outs(connection, [OptOut(user_id=USER, scope=Scope.ALL, set_at=bench.now)])
        layers = delete_opt_outs(connection, USER, Scope.LAYER, "3")
        everything = delete_opt_outs(connection, USER, Scope.ALL)
    taken = import_devices(bench.database, [accept_device(1, Device(TOKEN, USER))], bench.now)
    second = bench.run(bench.start(parameters=USERS, pushes=[{"layerId": 1}]))

    assert (refused.written, refused.bad) == (0, 1)
    assert refused.bad_rows[0].faults[0].startswith("userId: This user was erased.")
    assert bench.funnel(first.id)["optedOut"] == 1
    assert (layers, everything) == (0, 1)
    assert taken.written == 1
    assert bench.funnel(second.id)["optedOut"] == 0
    assert sent(bench)[str(USER)] == 1


def test_what_is_reported_of_an_erased_user_is_not_kept(bench: Bench) -> None:
    execution = bench.run(bench.start(parameters=USERS))
    track(bench)
    erase(bench)
    before = sums(bench)

    taken = report(bench, execution.id, [USER])

    assert find_in_tables(bench.database, str(USER)) == set()
    assert (taken.accepted, taken.refused) == (0, 1)
    assert taken.problems[0].reason is Refusal.ERASED
    assert sums(bench) == before
