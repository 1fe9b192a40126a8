"""A CSV is looked at before the dry run: its rows, its form, and what the first users read."""

from io import BytesIO
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from tests.people import ALICE, BOB
from tests.push_blaster.web.page_support import Visitor

ROWS = f"user_id,first_name\n{ALICE},Zoë\n{BOB},Bob\n"
MESSAGE = {"title": "Hi [[var:first_name]]", "body": "News", "layerId": "3"}


def look(visitor: Visitor, content: bytes, path: str = "/send/file", **form: str) -> TestResponse:
    data = {
        "csrf_token": visitor.csrf_token(),
        "then": "look",
        "file": (BytesIO(content), "people.csv"),
        **form,
    }
    return visitor.client.post(path, data=data, content_type="multipart/form-data")


def counts(page: str) -> list[str]:
    """Return rows, users, refused rows and duplicates, as the page counts them."""
    line = page.split('class="funnel-line">')[1].split("</p>")[0]
    return [part.partition("</b>")[0] for part in line.split("<b>")[1:]]


@pytest.mark.parametrize("path", ["/send/file", "/send"])
def test_rows_users_refused_rows_and_duplicates_are_counted_by_line(
    operator: Visitor, path: str
) -> None:
    rows = f"{ROWS}\n,Nobody\nx,X\n{str(ALICE).upper()},Again\n{UUID(int=9)},Ivy,more\n"

    answer = look(operator, rows.encode(), path, **MESSAGE)

    assert answer.status_code == 200
    assert counts(answer.text) == ["6", "2", "3", "1"]
    for line, reason in (
        (5, "has no user id"),
        (6, "&#39;x&#39; is no user id (a UUID)"),
        (7, "repeats the user of an earlier line"),
        (8, "does not fit the header: 3 cells, 2 columns"),
    ):
        assert f"Line {line}</span> {reason}" in answer.text
    assert "[[var:first_name]]" in answer.text
    assert operator.client.get("/api/executions").get_json()["executions"] == []


def test_the_first_users_are_shown_as_the_push_would_read(operator: Visitor) -> None:
    with_texts = look(operator, ROWS.encode(), **MESSAGE).text
    without = look(operator, ROWS.encode()).text
    twice = look(operator, f"{ROWS}{ALICE},Again\n".encode()).text
    lacking = look(operator, ROWS.encode(), title="Hi [[var:city]]").text

    assert "<b>Hi Zoë</b><br>News" in with_texts
    assert "first_name: Zoë" in without
    assert "first_name: Again" not in twice
    assert "The audience has no column city." in lacking


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (ROWS.encode(), "UTF-8, separated by commas"),
        (ROWS.encode("utf-8-sig"), "UTF-8 with a byte order mark, separated by commas"),
        (ROWS.encode("utf-16"), "UTF-16, separated by commas"),
        (ROWS.replace(",", ";").encode(), "UTF-8, separated by semicolons"),
        (ROWS.replace(",", "\t").encode("utf-16"), "UTF-16, separated by tabs"),
        (ROWS.replace(",", ";").encode("cp1252"), "Windows-1252, separated by semicolons"),
        (f"user_id\n{ALICE}\n".encode(), "UTF-8, one column"),
    ],
)
def test_encoding_and_separator_are_found_and_told(
    operator: Visitor, content: bytes, form: str
) -> None:
    answer = look(operator, content, **MESSAGE)

    assert f"<b>people.csv</b>: {form}." in answer.text
    assert ("Hi Zoë" in answer.text) == ("one column" not in form)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"PK\x03\x04rest", "it is an Excel workbook (.xlsx)"),
        (b"\xd0\xcf\x11\xe0rest", "it is an Excel workbook (.xls)"),
        (b"\x1f\x8brest", "it is a gzip file"),
        (ROWS.encode("utf-16-le"), "it is UTF-16 without a byte order mark"),
        (ROWS.encode("utf-16-be"), "it is UTF-16 without a byte order mark"),
        (ROWS.encode("utf-32"), "it is UTF-32"),
        (ROWS.replace(",", "|").encode(), "separated by &#39;|&#39;; use commas"),
        (b"", "is empty"),
        (b"user_id,a\n\xff\xc3\xa9\x81\n", "Save the file as UTF-8"),
    ],
)
def test_another_file_is_refused_with_what_it_is_and_how_to_save_it(
    operator: Visitor, content: bytes, found: str
) -> None:
    answer = look(operator, content, **MESSAGE)

    assert answer.status_code == 200
    assert found in answer.text
    assert 'class="funnel-line"' not in answer.text


def test_without_a_file_the_page_asks_for_one(operator: Visitor) -> None:
    answer = operator.post("/send", then="look", **MESSAGE)

    assert "Choose a CSV file first." in answer.text
    assert 'value="Hi [[var:first_name]]"' in answer.text


def test_many_bad_rows_are_counted_and_the_first_are_listed(operator: Visitor) -> None:
    content = "user_id\n" + "x\n" * 5_000 + f"{ALICE}\n" * 3_000

    page = look(operator, content.encode()).text

    assert [part.replace("\u202f", "") for part in counts(page)] == ["8000", "1", "5000", "2999"]
    assert page.count("is no user id") == 50
