"""CSVs as scripts, exports and people write them: every row is counted, as good or as bad."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask
from flask.testing import FlaskClient
from hypothesis import example, given

from chassis.csv_reader import CsvError
from chassis.postgres import BulkDatabase, Database
from push_blaster.adapters.audiences.frozen_audiences import (
    AudienceTooLargeError,
    EmptyAudienceError,
    FrozenAudience,
    freeze_audience,
    index_batches,
    read_rows,
)
from push_blaster.adapters.audiences.uploads import copy_upload, keep_upload, read_columns
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fuzz.values import THOROUGH, TOO_LONG, csv_files
from tests.people import ALICE

REFUSALS = (CsvError, EmptyAudienceError, AudienceTooLargeError)


@THOROUGH
@given(content=csv_files("user_id", "first_name", "city"))
@example(content=b"user_id," + TOO_LONG.encode() + b"\n")
@example(content=f"user_id,name,name\n{ALICE},a,b\n".encode())
def test_an_audience_is_frozen_with_every_row_counted_or_leaves_nothing(content: bytes) -> None:
    with TemporaryDirectory() as name:
        source, target = Path(name) / "audience.csv", Path(name) / "audience.jsonl"
        source.write_bytes(content)
        try:
            frozen = freeze_audience(source, target, max_size=4)
        except REFUSALS:
            assert list(Path(name).iterdir()) == [source]
            return
        _check_counts(frozen)
        rows = list(read_rows(target))
        assert len(rows) == len({row.user_id for row in rows}) == frozen.distinct <= 4
        assert sum(batch.rows for batch in index_batches(target, 2)) == frozen.distinct
        assert all(row.variables.keys() <= set(frozen.columns) for row in rows)
        assert sorted(path.name for path in Path(name).iterdir()) == [source.name, target.name]


def _check_counts(frozen: FrozenAudience) -> None:
    assert 0 < frozen.distinct <= frozen.valid <= frozen.generated
    assert len(frozen.bad_rows) == min(20, frozen.generated - frozen.distinct)
    assert all(bad["problem"] for bad in frozen.bad_rows)


@THOROUGH
@given(content=csv_files("user_id", "first_name", "city"))
@example(content=b"user_id," + TOO_LONG.encode() + b"\n")
def test_an_upload_that_is_taken_can_be_sent_from(content: bytes) -> None:
    with TemporaryDirectory() as name:
        folder, copy = Path(name), Path(name) / "copy.csv"
        try:
            columns = read_columns(io.BytesIO(content), "users.csv")
        except CsvError:
            return
        copy_upload(folder, keep_upload(folder, io.BytesIO(content), "users.csv"), copy)
        assert copy.read_bytes() == content
        assert freeze_audience(copy, folder / "frozen.jsonl", 100).columns == columns


@THOROUGH
@given(content=csv_files("userId", "token", "kind", "timezone", "lastSeenAt"))
@example(content=b"userId,token," + TOO_LONG.encode() + b"\n")
@example(content=f"userId,token\n{ALICE},a\0b\n".encode())
@example(content=f"userId,token,lastSeenAt\n{ALICE},a,0001-01-01T00:00:00+14:00\n".encode())
def test_every_row_of_devices_is_registered_unchanged_or_refused(
    client: FlaskClient, database: Database, content: bytes
) -> None:
    answer = client.post("/api/devices/import", data=content, content_type="text/csv")

    told = answer.get_json()
    assert answer.status_code in {200, 400}, told
    if answer.status_code == 200:
        assert told["rows"] == told["registered"] + told["unchanged"] + told["refused"]
        assert len(told["errors"]) == min(20, told["refused"])


@THOROUGH
@given(content=csv_files("user_id", "layer_id", "push_title", "sent_at"))
@example(content=b"user_id,layer_id,push_title,sent_at," + TOO_LONG.encode() + b"\n")
@example(content=f"user_id,layer_id,push_title,sent_at\n{ALICE},3,a\0b,2026-11-24\n".encode())
@example(
    content=f"user_id,layer_id,push_title,sent_at\n{ALICE},3,a,0001-01-01T00:00+14:00".encode()
)
@example(
    content=f"user_id,layer_id,push_title,sent_at\n{ALICE},3,a,2026-11-24T12:00+19:00".encode()
)
def test_every_row_of_a_history_is_valid_or_bad_and_the_valid_are_there(
    cadence_app: Flask, cadence_database: BulkDatabase, content: bytes
) -> None:
    answer = cadence_app.test_client().post(
        "/restore-historical-data",
        data={"file": (io.BytesIO(content), "history.csv")},
        headers={"Authorization": f"Bearer {CADENCE_TOKEN}"},
    )

    told = answer.get_json()
    assert answer.status_code in {200, 400}, told
    if answer.status_code == 200:
        found = told["details"]
        assert found["totalRows"] == found["validRows"] + found["invalidCount"]
        assert found["validRows"] == found["insertedRows"] + found["duplicatesSkipped"]
