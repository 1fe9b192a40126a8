"""The CSV reader: what people and programs write is read right, or refused with its line."""

import codecs
import io
import tracemalloc

import pytest

from chassis.csv_reader import BLOCK, MAX_COLUMNS, MAX_ROW, CsvError, CsvFile, read_csv


def read(content: bytes | str) -> CsvFile:
    data = content.encode() if isinstance(content, str) else content
    return read_csv(io.BytesIO(data), "users.csv")


def cells(content: bytes | str) -> list[list[str] | str]:
    return [row for _, row in read(content).rows]


def refusal(content: bytes | str) -> str:
    with pytest.raises(CsvError) as caught:
        list(read(content).rows)
    return str(caught.value)


def test_a_header_and_its_rows_are_read() -> None:
    file = read("user_id,first_name\nA,Anna\nB,Bob\n")

    assert file.columns == ("user_id", "first_name")
    assert list(file.rows) == [(2, ["A", "Anna"]), (3, ["B", "Bob"])]
    assert file.note == ""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do_within_cells_too(end: str) -> None:
    content = f'user_id,text{end}A,"one{end}two"{end}B,three'

    assert list(read(content).rows) == [(2, ["A", f"one{end}two"]), (4, ["B", "three"])]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_separate(delimiter: str) -> None:
    content = f'"a,b;c\td"{delimiter}user_id\n"x,y;z\tw"{delimiter}A\n'

    assert read(content).columns == ("a,b;c\td", "user_id")
    assert cells(content) == [["x,y;z\tw", "A"]]


def test_a_comma_in_a_text_does_not_make_a_file_of_semicolons_one_of_commas() -> None:
    assert cells("user_id;name\nA;Rose, red\n") == [["A", "Rose, red"]]
    assert cells("user_id\nA;B\n") == [["A;B"]]


def test_an_unclosed_quote_refuses_the_file_and_names_its_line() -> None:
    assert "users.csv, line 2: the row that begins here has a quote" in refusal(
        'user_id,first_name\nA,"unclosed\nB,T'
    )


def test_a_quote_that_another_one_closes_by_chance_refuses_the_file_too() -> None:
    assert "line 3:" in refusal('user_id,name\nA,x\nB,"unclosed\nC,"T"\nD,y\n')
    assert "line 2:" in refusal('user_id,name\nA,"in" between\n')


def test_an_unclosed_quote_in_the_header_is_the_first_line() -> None:
    assert "line 1:" in refusal('user_id,"name\nA,x\n')


def test_a_quote_that_is_never_closed_ends_at_the_longest_cell() -> None:
    content = 'user_id,name\nA,"unclosed\n' + "B,C\n" * MAX_ROW

    assert "line 2: the row that begins here is too long" in refusal(content)


def test_a_quote_within_a_cell_is_part_of_it() -> None:
    assert cells('user_id,name\nA,5" pipe\nB,"a ""b"""\n') == [["A", '5" pipe'], ["B", 'a "b"']]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("user_id,name\nA,Жанна\n".encode(), ""),
        ("user_id,name\nA,Жанна\n".encode("utf-8-sig"), ""),
        ("user_id,name\nA,Жанна\n".encode("utf-16"), ""),
        (codecs.BOM_UTF16_BE + "user_id,name\nA,Жанна\n".encode("utf-16-be"), ""),
    ],
)
def test_unicode_is_read_in_its_usual_encodings(content: bytes, note: str) -> None:
    assert read(content).columns == ("user_id", "name")
    assert cells(content) == [["A", "Жанна"]]
    assert read(content).note == note


def test_windows_1252_is_read_and_told_with_a_sample() -> None:
    content = "user_id,city,name\nA,Bonn,Anna\nB,Köln,Jürgen\n".encode("cp1252")

    assert cells(content)[1] == ["B", "Köln", "Jürgen"]
    assert "was read as Windows-1252, for example 'Köln'" in read(content).note


def test_the_sample_is_of_a_column_that_is_used() -> None:
    rows = "user_id,city,name\nA,Köln,Anna\nB,Bonn,Jürgen\n".encode("cp1252")
    file = read(rows)

    notes = [file.note_on([0, 2]), file.note_on([1]), file.note_on([0])]

    assert ["Jürgen" in notes[0], "Köln" in notes[1], "Köln" in notes[2]] == [True] * 3
    assert [cells for _, cells in file.rows] == [["A", "Köln", "Anna"], ["B", "Bonn", "Jürgen"]]
    assert read("user_id,name\nA,Jürgen\n").note_on([1]) == ""


def test_a_valid_multi_byte_sequence_means_broken_utf_8_and_no_windows_1252() -> None:
    broken = "user_id,name\nA,Jürgen\nB,".encode() + b"K\xf6ln\n"

    assert "line 3: the bytes are neither UTF-8 nor Windows-1252" in refusal(broken)
    assert "line 2:" in refusal(b"user_id,name\nA,K\xf6ln\nB," + "Jürgen\n".encode())


def test_a_multi_byte_sequence_is_found_across_pieces() -> None:
    for length in range(BLOCK - 4, BLOCK + 2):
        rest = b"user_id,name\nA,K\xf6ln\nB,".ljust(length, b".")

        assert "line 2:" in refusal(rest + "€\n".encode())


def test_a_byte_that_windows_1252_does_not_know_is_refused_with_its_line() -> None:
    assert "line 3: the bytes are neither" in refusal(b"user_id,name\nA,K\xf6ln\nB,\x81\n")


def test_broken_utf_16_is_refused_with_its_line() -> None:
    start = "user_id,name\nA,x\nB,".encode("utf-16")

    assert "line 3: the bytes are no text in utf-16" in refusal(start + b"\x00\xdc\x41\x00")
    assert "line 3:" in refusal(start + b"x")


def test_nul_is_refused_with_its_line_in_every_encoding() -> None:
    text = "user_id,name\r\nA,x\r\nB,\0\r\n"

    assert "line 3: there is a NUL character" in refusal(text)
    assert "line 3: there is a NUL character" in refusal(text.encode("utf-16"))
    assert "UTF-16 without a byte order mark" in refusal("user_id\nA\n".encode("utf-16-le"))


def test_short_rows_are_filled_up_and_long_ones_are_bad() -> None:
    content = "user_id,a,b\nA\nB,1\nC,1,2,3\nD,1,2\n"

    assert list(read(content).rows) == [
        (2, ["A", "", ""]),
        (3, ["B", "1", ""]),
        (4, "4 cells, 3 columns"),
        (5, ["D", "1", "2"]),
    ]


def test_empty_lines_are_left_out_and_counted_as_lines() -> None:
    content = "\n  \nuser_id,name\n\nA,x\n   \nB,y\n\n\n"

    assert list(read(content).rows) == [(5, ["A", "x"]), (7, ["B", "y"])]


def test_the_only_cell_of_a_row_may_be_empty() -> None:
    assert cells('user_id\n""\nA\n\n') == [[""], ["A"]]


@pytest.mark.parametrize(
    "header", ["user_id", "User ID", "userid", "USER__ID", "\u200bUser Id\ufeff"]
)
def test_names_of_columns_are_found_however_they_are_written(header: str) -> None:
    assert read(f"name,{header}\nx,A\n").find_column("user_id") == 1


def test_the_first_name_that_is_there_is_taken() -> None:
    file = read("id,User,user_id\n1,2,3\n")

    assert file.find_column("user_id", "id", "user") == 2
    assert file.find_column("id", "user_id") == 0
    assert file.find_column("token") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("first_name", "First Name"), ("Straße", "STRASSE"), ("caf\u00e9", "cafe\u0301"), ("a", "a")],
)
def test_two_columns_with_one_name_are_refused_and_both_named(one: str, other: str) -> None:
    assert f"the columns {one!r} and {other!r}" in refusal(f"user_id,{one},{other}\nA,1,2\n")


def test_columns_without_a_name_may_be_several() -> None:
    assert read("user_id,name,,\nA,x,,\n").columns == ("user_id", "name", "", "")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b",,\n", "\n".encode("utf-16")])
def test_a_file_without_names_of_columns_is_empty(content: bytes) -> None:
    assert refusal(content) == "users.csv is empty; its first line has to name the columns."


def test_too_many_columns_are_refused() -> None:
    names = ",".join(f"c{n}" for n in range(MAX_COLUMNS + 1))

    assert f"has {MAX_COLUMNS + 1} columns" in refusal(names)


def test_a_line_without_end_is_refused_before_memory_is_filled() -> None:
    content = b"user_id,name\nA," + b"x" * (64 * 1024 * 1024)
    file = io.BytesIO(content)
    tracemalloc.start()

    with pytest.raises(CsvError, match=r"line 2: the row that begins here is too long"):
        list(read_csv(file, "users.csv").rows)

    assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    tracemalloc.stop()


def test_a_cell_without_quotes_that_is_too_long_is_only_a_bad_row() -> None:
    content = f"user_id,name\nA,{'x' * 140_000}\nB,y\n"

    assert cells(content) == ["a cell has more than 131,072 characters", ["B", "y"]]
    assert "line 2: the row that begins here is too long" in refusal(content.replace(",x", ',"x'))
    assert "in the header a cell has more than" in refusal("x" * 140_000 + ",user_id\nx,A\n")


def test_a_row_that_goes_on_and_on_in_short_cells_is_refused() -> None:
    content = "user_id,name\nB,x\n" + 'A,"' + 'x\n","' * MAX_ROW

    assert "line 3: the row that begins here is too long" in refusal(content)


def test_a_row_of_nearly_the_longest_length_is_read() -> None:
    wide = ",".join(f"c{n}" for n in range(10))
    row = ",".join(['"' + "x\n" * 50_000 + '"'] * 10)

    found = list(read(f"{wide}\n{row}\n{row}\n{wide}\n").rows)

    assert [(line, len(cells)) for line, cells in found] == [
        (2, 10),
        (500_003, 10),
        (1_000_004, 10),
    ]


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > BLOCK:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_is_told_as_an_error_of_the_file() -> None:
    with pytest.raises(CsvError, match=r"users.csv cannot be read: Input/output error"):
        read_csv(_Broken(b"user_id\n" + b"A\n" * BLOCK), "users.csv")
