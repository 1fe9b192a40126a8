"""A CSV is split into parts; a request with filters is answered with the alternatives."""

import csv
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZipFile

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PATH = "/api/query-audience"


def split(client: FlaskClient, text: str, count: object) -> TestResponse:
    return client.post(PATH, json={"csvData": text, "splitCount": count})


def parts(response: TestResponse) -> dict[str, list[list[str]]]:
    assert response.status_code == 200, response.text
    with ZipFile(BytesIO(response.data)) as archive:
        return {
            name: list(csv.reader(StringIO(archive.read(name).decode(), newline="")))
            for name in archive.namelist()
        }


def test_the_remainder_goes_to_the_first_parts_and_each_has_the_header(client: FlaskClient) -> None:
    response = split(client, "id,n\n" + "".join(f"u{n},{n}\n" for n in range(8)), 3)

    found = parts(response)
    assert list(found) == ["part-1-of-3.csv", "part-2-of-3.csv", "part-3-of-3.csv"]
    assert all(rows[0] == ["id", "n"] for rows in found.values())
    assert [[row[1] for row in rows[1:]] for rows in found.values()] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6", "7"],
    ]
    assert response.mimetype == "application/zip"
    assert "filename=audience_segments_20" in response.headers["Content-Disposition"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_stay_whole_whatever_is_in_their_cells(client: FlaskClient, end: str) -> None:
    text = "\ufeff" + end.join(["id,text", '1,"a\nb"', "", '2,"say ""c"", d"', "3,=1"])

    found = parts(split(client, text, 3))

    assert [rows[1:] for rows in found.values()] == [
        [["1", "a\nb"]],
        [["2", 'say "c", d']],
        [["3", "=1"]],
    ]
    assert all(rows[0] == ["id", "text"] for rows in found.values())


@pytest.mark.parametrize(
    ("text", "count", "says"),
    [
        ("id\n1\n2", 3, "csvData: The CSV has 2 rows, too few for 3 parts."),
        ("\n\n", 1, "csvData: The CSV is empty"),
        ('id\n1\n"2', 1, "csvData: The CSV, line 3: the row that begins here"),
        ("id,a\n1,2,3", 1, "csvData: The CSV, line 2: 3 cells, 2 columns"),
        ("id,ID\n1,2", 1, "csvData: The CSV has the columns 'id' and 'ID'"),
        ("id\n1", 0, "splitCount: Must be"),
        ("id\n1", 101, "splitCount: Must be"),
        ("id\n1", "x", "splitCount: Not a valid integer"),
    ],
)
def test_what_cannot_be_split_is_told(
    client: FlaskClient, text: str, count: object, says: str
) -> None:
    response = split(client, text, count)

    assert response.status_code == 400
    assert response.get_json()["detail"].startswith(says)


@pytest.mark.parametrize(
    "body", [{}, {"lastActiveDays": 7}, {"manualUserIds": ["x"], "dataPacks": {}}]
)
def test_filters_are_told_what_to_use_instead(client: FlaskClient, body: dict[str, Any]) -> None:
    response = client.post(PATH, json=body)

    assert response.status_code == 400
    assert "audience script" in response.get_json()["detail"]
    assert "manualUserIds" in response.get_json()["detail"]
