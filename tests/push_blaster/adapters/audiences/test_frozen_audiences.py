"""From a script's CSV to a frozen audience: nothing is lost silently."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences import duplicate_finder
from push_blaster.adapters.audiences.frozen_audiences import (
    AudienceTooLargeError,
    EmptyAudienceError,
    FrozenAudience,
    freeze_audience,
    index_batches,
    read_batch,
    verify,
)
from tests.people import ALICE, BOB, CAROL


def freeze(folder: Path, text: str | bytes, max_size: int = 100) -> FrozenAudience:
    content = text.encode() if isinstance(text, str) else text
    (folder / "a.csv").write_bytes(content)
    return freeze_audience(folder / "a.csv", folder / "a.jsonl", max_size)


def users(folder: Path) -> list[tuple[object, dict[str, str]]]:
    return [(row.user_id, dict(row.variables)) for row in read_batch(folder / "a.jsonl", 0, 1000)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["no BOM", "BOM"])
def test_any_line_ending_with_or_without_a_byte_order_mark(
    tmp_path: Path, ending: str, bom: str
) -> None:
    text = bom + ending.join(["user_id,name", f"{ALICE},Alice", f"{BOB},Bob", ""])

    frozen = freeze(tmp_path, text)

    assert users(tmp_path) == [(ALICE, {"name": "Alice"}), (BOB, {"name": "Bob"})]
    assert (frozen.generated, frozen.valid, frozen.distinct) == (2, 2, 2)
    assert frozen.columns == ("name",)


def test_quotes_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    freeze(tmp_path, f'user_id,plant\n{ALICE},"Chili ""Devil"", red\nhot"\n')

    assert users(tmp_path) == [(ALICE, {"plant": 'Chili "Devil", red\nhot'})]


@pytest.mark.parametrize("name", ["user_id", "userId", "id", "User ID", "ID", "user", "User"])
def test_the_column_of_ids_has_many_names_and_may_be_the_only_one(
    tmp_path: Path, name: str
) -> None:
    freeze(tmp_path, f"{name}\n{ALICE}\n")

    assert users(tmp_path) == [(ALICE, {})]


def test_bad_rows_are_counted_and_listed_with_their_line(tmp_path: Path) -> None:
    frozen = freeze(
        tmp_path,
        f"name,user_id\nA,{str(ALICE).upper()}\nB,\nC,no-uuid\nD\nE,{BOB},x\nF,{ALICE}\n\nG,{BOB}\n",
    )

    assert (frozen.generated, frozen.valid, frozen.distinct) == (7, 3, 2)
    assert users(tmp_path) == [(ALICE, {"name": "A"}), (BOB, {"name": "G"})]
    assert [(bad["line"], str(bad["problem"]).split(":")[0]) for bad in frozen.bad_rows] == [
        (3, "missing_id"),
        (4, "invalid_uuid"),
        (5, "missing_id"),
        (6, "bad_row"),
        (7, "duplicate"),
    ]


def test_ids_with_path_characters_are_only_bad_rows(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id\n../../etc/passwd\n{ALICE}\n")

    assert (frozen.valid, frozen.distinct) == (1, 1)


def test_an_unclosed_quote_gives_nobody_the_row_of_another(tmp_path: Path) -> None:
    with pytest.raises(CsvError, match=r"a.csv, line 2: the row that begins here has a quote"):
        freeze(tmp_path, f'user_id,first_name\n{ALICE},"unclosed\n{BOB},T')

    assert not (tmp_path / "a.jsonl").exists()


def test_rows_without_their_trailing_empty_cells_are_whole_rows(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id,name,city\n{ALICE},Alice\n{BOB}\n")

    assert (frozen.generated, frozen.valid, frozen.bad_rows) == (2, 2, ())
    assert users(tmp_path) == [
        (ALICE, {"name": "Alice", "city": ""}),
        (BOB, {"name": "", "city": ""}),
    ]


@pytest.mark.parametrize("header", ["user_id,name,Name", "user_id,first name,first_name"])
def test_a_column_that_comes_twice_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(CsvError, match="which are one name"):
        freeze(tmp_path, f"{header}\n{ALICE},a,b\n")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolons_and_tabs_separate_too(tmp_path: Path, delimiter: str) -> None:
    freeze(tmp_path, f"user_id,name,city\n{ALICE},Alice,Bonn\n".replace(",", delimiter))

    assert users(tmp_path) == [(ALICE, {"name": "Alice", "city": "Bonn"})]


def test_utf_16_is_read_and_nul_is_refused(tmp_path: Path) -> None:
    freeze(tmp_path, f"user_id,name\n{ALICE},Žofie\n".encode("utf-16"))

    assert users(tmp_path) == [(ALICE, {"name": "Žofie"})]
    with pytest.raises(CsvError, match="line 2: there is a NUL character"):
        freeze(tmp_path, f"user_id,name\n{ALICE},a\0b\n")


def test_windows_1252_is_read_and_noted(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id,name\n{ALICE},Jürgen\n".encode("cp1252"))

    assert users(tmp_path) == [(ALICE, {"name": "Jürgen"})]
    assert "read as Windows-1252, for example 'Jürgen'" in frozen.note


def test_ids_lose_invisible_characters_and_space(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id\n\u200b {ALICE}\u00a0\n{BOB}\ufeff\n")

    assert [user_id for user_id, _ in users(tmp_path)] == [ALICE, BOB]
    assert frozen.bad_rows == ()


def test_of_several_columns_of_ids_the_one_named_first_by_rule_is_taken(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"id,user,User Id\n7,bob,{ALICE}\n")

    assert users(tmp_path) == [(ALICE, {"id": "7", "user": "bob"})]
    assert frozen.columns == ("id", "user")


def test_columns_that_say_where_users_are_reached_are_known_however_they_are_written(
    tmp_path: Path,
) -> None:
    freeze(tmp_path, f"user_id,Device Token,TimeZone\n{ALICE},t,Europe/Berlin\n")

    assert users(tmp_path) == [(ALICE, {"device_token": "t", "timezone": "Europe/Berlin"})]


def test_a_giant_field_is_a_bad_row_and_not_the_end(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id,x\n{ALICE},{'y' * 200_000}\n{BOB},z\n")

    assert (frozen.generated, frozen.distinct) == (2, 1)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", CsvError, "a.csv is empty; its first line has to name the columns"),
        ("name,city\nA,B\n", CsvError, "Its columns: name, city"),
        ("user_id\n", EmptyAudienceError, "a header and no row"),
        ("user_id\nx\ny\n", EmptyAudienceError, "None of the 2 rows of a.csv is usable. line 2: "),
        (f"id\n{ALICE}\n{BOB}\n{CAROL}\n", AudienceTooLargeError, "more than the 2 users allowed"),
    ],
)
def test_a_file_that_is_no_audience_leaves_none(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        freeze(tmp_path, text, max_size=2)

    assert not (tmp_path / "a.jsonl").exists()


def test_batches_cover_every_row_once(tmp_path: Path) -> None:
    lines = "".join(f"00000000-0000-0000-0000-{n:012d},ü{n}\n" for n in range(25))
    freeze(tmp_path, "user_id,name\n" + lines)

    batches = index_batches(tmp_path / "a.jsonl", 10)

    assert [(batch.number, batch.rows) for batch in batches] == [(0, 10), (1, 10), (2, 5)]
    read = [row for b in batches for row in read_batch(tmp_path / "a.jsonl", b.offset, b.rows)]
    assert [row.variables["name"] for row in read] == [f"ü{n}" for n in range(25)]


def test_a_frozen_audience_that_was_touched_is_noticed(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id,name\n{ALICE},A\n")
    path = tmp_path / "a.jsonl"

    assert verify(path, frozen.sha256)
    path.write_text(json.dumps({"userId": str(BOB), "variables": {}}) + "\n")
    assert not verify(path, frozen.sha256)
    path.unlink()
    assert not verify(path, frozen.sha256)


@pytest.mark.slow
def test_a_million_rows(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as file:
        file.write("user_id,n\n")
        file.writelines(f"00000000-0000-0000-0000-{n:012d},{n}\n" for n in range(1_000_000))

    frozen = freeze_audience(tmp_path / "a.csv", tmp_path / "a.jsonl", 1_000_000)

    assert frozen.distinct == 1_000_000
    assert len(index_batches(tmp_path / "a.jsonl", 1_000)) == 1_000


def test_users_who_come_again_far_apart_are_found_whatever_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicate_finder, "BUCKET", 50)
    monkeypatch.setattr(duplicate_finder, "CHUNK", 70)
    ids = [str(UUID(int=n % 900)) for n in range(1_000)]

    frozen = freeze(tmp_path, "user_id,n\n" + "".join(f"{i},{n}\n" for n, i in enumerate(ids)), 900)

    assert (frozen.valid, frozen.distinct) == (1_000, 900)
    assert [row["n"] for _, row in users(tmp_path)] == [str(n) for n in range(900)]
    assert [bad["line"] for bad in frozen.bad_rows] == list(range(902, 922))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".jsonl"}, "nothing is left"
