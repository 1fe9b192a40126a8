"""Ad hoc pushes go the way of every push: audience, cadence, ledger, and all the stops."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest

from push_blaster.adapters.audiences.uploads import FOLDER
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.executions.execution import Execution, Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import IdempotencyConflictError
from push_blaster.use_cases.executions.stop_execution import stop_execution
from push_blaster.use_cases.one_off.check_ad_hoc import (
    AdHocRequest,
    AudienceUpload,
    BadAdHocPushError,
)
from push_blaster.use_cases.one_off.send_ad_hoc import (
    NoDryRunError,
    send_ad_hoc,
    send_what_was_tried,
    wait_for_end,
)
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench, messages

PEOPLE = (ALICE, BOB, CAROL)

REAL = {"is_simulated": False}


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """The bench, with a device of each of our people, and the window that holds elsewhere."""
    devices = [Device(f"token-{user}", user) for user in PEOPLE]
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, bench.now)
    return bench


def a_file(*rows: str, end: str = "\n", bom: bytes = b"") -> AudienceUpload:
    return AudienceUpload("../people.csv", BytesIO(bom + "".join(r + end for r in rows).encode()))


def ask(**changes: Any) -> AdHocRequest:
    values = {
        "title": "Hello",
        "body": "There is news.",
        "deep_link": "",
        "layer_id": 3,
        "user_ids": [],
        "file": None,
        **changes,
    }
    return AdHocRequest(**values)


def send(bench: Bench, mode: Mode = Mode.LIVE, key: str | None = None, **changes: Any) -> Execution:
    return bench.run(send_ad_hoc(bench.web, ask(**changes), mode, key, bench.now, **REAL).id)


def receivers(bench: Bench) -> list[UUID]:
    return sorted(UUID(message["userId"]) for message in messages(bench))


def test_users_named_one_by_one_get_it_at_once_whatever_the_least_window_is(bench: Bench) -> None:
    bench.change(limits=type(bench.context.limits)())
    began = bench.now

    sent = send(bench, user_ids=[str(ALICE), str(BOB)])

    assert (sent.phase, sent.trigger) == (Phase.COMPLETED, Trigger.AD_HOC)
    assert receivers(bench) == sorted([ALICE, BOB])
    assert bench.now - began < timedelta(seconds=5)


def test_a_window_that_is_asked_for_is_waited_for(bench: Bench) -> None:
    began = bench.now

    send(bench, user_ids=[str(ALICE)], window=timedelta(minutes=2))

    assert bench.now - began >= timedelta(minutes=2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_file_has_any_line_ending_with_or_without_a_bom(
    bench: Bench, end: str, bom: bytes
) -> None:
    file = a_file(
        "first,user_id", f"Alice,{ALICE}", f'"B, ""o""b",{BOB}', "Nobody,", end=end, bom=bom
    )

    execution = send(bench, title="Hi [[var:first]]", file=file)

    assert execution.phase is Phase.COMPLETED
    assert {m["title"] for m in messages(bench)} == {"Hi Alice", 'Hi B, "o"b'}
    assert bench.funnel(execution.id)["generated"] == 3


def test_a_file_of_one_column_without_an_end_is_enough(bench: Bench) -> None:
    send(bench, file=AudienceUpload("one.csv", BytesIO(f"User ID\n{ALICE}\n{BOB}".encode())))

    assert receivers(bench) == sorted([ALICE, BOB])


def test_a_file_is_kept_under_its_hash_and_never_under_its_name(bench: Bench) -> None:
    send(bench, file=a_file("user_id", str(ALICE)))
    send(bench, layer_id=1, file=a_file("user_id", str(ALICE)))

    (kept,) = (bench.folder / FOLDER).iterdir()
    assert len(kept.stem) == 64
    assert not (bench.folder.parent / "people.csv").exists()


def test_a_file_that_was_changed_meanwhile_is_not_sent_to(bench: Bench) -> None:
    started = send_ad_hoc(
        bench.web,
        ask(file=a_file("user_id", str(ALICE))),
        Mode.LIVE,
        None,
        bench.now,
        is_simulated=False,
    )
    (kept,) = (bench.folder / FOLDER).iterdir()
    kept.write_text(f"user_id\n{BOB}\n")

    ended = bench.run(started.id)

    assert ended.phase is Phase.FAILED
    assert "is not what it was" in (ended.reason or "")
    assert messages(bench) == []


def test_a_dry_run_sends_nothing_and_is_then_sent_once(bench: Bench) -> None:
    tried = send(bench, Mode.REAL_DRY_RUN, user_ids=[str(ALICE), str(BOB)])

    assert messages(bench) == []
    assert bench.funnel(tried.id)["wouldSend"] == 2
    meant = send_what_was_tried(bench.web, tried.id, bench.now, **REAL)
    again = send_what_was_tried(bench.web, tried.id, bench.now, **REAL)
    bench.run(meant.id)
    assert meant.id == again.id == send_what_was_tried(bench.web, tried.id, bench.now, **REAL).id
    assert receivers(bench) == sorted([ALICE, BOB])


def test_what_was_sent_is_no_dry_run(bench: Bench) -> None:
    sent = send(bench, user_ids=[str(ALICE)])

    with pytest.raises(NoDryRunError):
        send_what_was_tried(bench.web, sent.id, bench.now, **REAL)


def test_cadence_holds_users_back_but_not_on_layer_4(bench: Bench) -> None:
    send(bench, user_ids=[str(ALICE)])

    again = send(bench, user_ids=[str(ALICE), str(BOB)])
    test = send(bench, user_ids=[str(ALICE)], layer_id=4)

    assert bench.funnel(again.id)["exclusionBreakdown"] == {"layer_3_cooldown_hours": 1}
    assert bench.funnel(test.id)["sent"] == 1
    assert receivers(bench) == sorted([ALICE, ALICE, BOB])


def test_the_same_key_sends_once_and_for_another_push_it_is_refused(bench: Bench) -> None:
    first = send(bench, key="job-1", user_ids=[str(ALICE)], layer_id=1)
    again = send(bench, key="job-1", user_ids=[str(ALICE)], layer_id=1)

    assert first.id == again.id
    assert receivers(bench) == [ALICE]
    with pytest.raises(IdempotencyConflictError):
        send(bench, key="job-1", user_ids=[str(BOB)], layer_id=1)


def test_a_sender_waits_for_the_outcome_and_no_longer_than_the_limit(bench: Bench) -> None:
    started = send_ad_hoc(
        bench.web, ask(user_ids=[str(ALICE)]), Mode.LIVE, None, bench.now, is_simulated=False
    )

    early = wait_for_end(bench.database, started, timedelta(seconds=0.3))
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(wait_for_end, bench.database, started, timedelta(seconds=20))
        bench.run(started.id)

    assert early.phase is Phase.WAITING
    assert waiting.result().phase is Phase.COMPLETED


def test_it_is_stopped_as_everything_is(bench: Bench) -> None:
    rows = [str(UUID(int=n)) for n in range(1, 101)]
    file = a_file("user_id,device_token", *[f"{row},token-{row}" for row in rows])
    started = send_ad_hoc(
        bench.web, ask(file=file, layer_id=1), Mode.LIVE, None, bench.now, is_simulated=False
    )
    bench.work_until_sent(40)

    stop_execution(bench.database, started.id, "Wrong text.", bench.now)
    bench.run(started.id)

    assert bench.execution(started.id).phase is Phase.CANCELLED
    assert 40 <= len(messages(bench)) < 100


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"title": " ", "body": ""}, "title", "missing"),
        ({"body": "", "deep_link": "http://x"}, "body", "missing"),
        ({"deep_link": "javascript:alert(1)", "layer_id": 9}, "deepLink", "scheme"),
        ({"layer_id": 6, "user_ids": []}, "layerId", "1 to 5"),
        ({"user_ids": []}, "file", "userIds"),
        ({"user_ids": [str(ALICE)], "file": a_file("user_id")}, "userIds", "beside a file"),
        ({"user_ids": [str(UUID(int=n)) for n in range(6)]}, "userIds", "5 is the most"),
        ({"user_ids": ["alice"]}, "userIds", "'alice' is no user id"),
        ({"file": a_file()}, "file", "is empty; its first line"),
        ({"file": a_file("user_id")}, "file", "no row"),
        ({"file": a_file("user_id", "alice", "bob")}, "file", "Line 2: invalid_uuid"),
        ({"file": a_file("id,x", f"{ALICE},", f'{BOB},"open')}, "file", "line 3: the row that"),
        ({"file": a_file("id,x", f"{ALICE},\0")}, "file", "line 2: there is a NUL"),
        ({"file": a_file("id,x,X", f"{ALICE},,")}, "file", "the columns 'x' and 'X'"),
    ],
)
def test_the_first_fault_is_told_by_its_field(
    bench: Bench, changes: dict[str, Any], field: str, says: str
) -> None:
    asked = ask(**{"user_ids": [] if "file" in changes else [str(ALICE)], **changes})

    with pytest.raises(BadAdHocPushError, match=says) as refused:
        send_ad_hoc(bench.web, asked, Mode.LIVE, None, bench.now, **REAL)

    assert refused.value.field == field
    assert bench.executions() == []
    assert not (bench.folder / FOLDER).exists()


def test_placeholders_are_checked_against_the_columns(bench: Bench) -> None:
    file = a_file("user_id,first", f"{ALICE},Alice")

    with pytest.raises(BadAdHocPushError) as missing:
        send(bench, title="[[var:name]] [[var:first]]", file=file)
    with pytest.raises(BadAdHocPushError) as malformed:
        send(bench, title="[[vra:first]]", body="[[var:]]", file=file)
    with pytest.raises(BadAdHocPushError, match="It has none"):
        send(bench, title="[[var:first]]", user_ids=[str(ALICE)])

    assert missing.value.details == {"missingColumns": ["name"], "malformedVariables": []}
    faults = malformed.value.details or {}
    assert [line.split(":")[0] for line in faults["malformedVariables"]] == ["title", "body"]
