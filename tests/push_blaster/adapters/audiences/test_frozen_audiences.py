"""From a script's CSV to a frozen audience: nothing is lost silently."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from push_blaster.adapters.audiences import duplicate_finder
from push_blaster.adapters.audiences.audience_csv import AudienceCsvError
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
        (5, "bad_row"),
        (6, "bad_row"),
        (7, "duplicate"),
    ]


def test_ids_with_path_characters_are_only_bad_rows(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id\n../../etc/passwd\n{ALICE}\n")

    assert (frozen.valid, frozen.distinct) == (1, 1)


def test_bytes_that_are_no_text_spoil_only_their_own_cell(tmp_path: Path) -> None:
    freeze(tmp_path, b"user_id,name\n" + str(ALICE).encode() + b",\xff\x00A\n")

    assert users(tmp_path) == [(ALICE, {"name": "\ufffd\x00A"})]


def test_a_giant_field_is_a_bad_row_and_not_the_end(tmp_path: Path) -> None:
    frozen = freeze(tmp_path, f"user_id,x\n{ALICE},{'y' * 200_000}\n{BOB},z\n")

    assert (frozen.generated, frozen.distinct) == (2, 1)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", AudienceCsvError, "none: the file is empty"),
        ("name,city\nA,B\n", AudienceCsvError, "Its columns: name, city"),
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
