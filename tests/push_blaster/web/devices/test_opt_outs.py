"""Opt-outs by the API: set, listed, deleted, exported and imported."""

from datetime import datetime
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.people import ALICE, BOB
from tests.push_blaster.web.page_support import Visitor

LATER, PAST = "2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"


def opt_out(client: FlaskClient, **given: object) -> Any:
    return client.post("/api/opt-outs", json={"userId": str(ALICE), **given})


def listed(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/opt-outs?{query}").get_json()["optOuts"]
    return found


def test_a_user_opts_out_of_all_of_a_layer_and_of_an_automation_and_in_again(
    client: FlaskClient,
) -> None:
    opt_out(client)
    opt_out(client, scope="layer", layerId=3, until=LATER, reason="asked by phone")
    opt_out(client, scope="automation", automationId="news")

    by_layer = listed(client, "layerId=3")
    assert [(one["scope"], one["layerId"], one["automationId"]) for one in listed(client)] == [
        ("all", None, None),
        ("automation", None, "news"),
        ("layer", 3, None),
    ]
    assert [(one["until"], one["reason"], one["source"]) for one in by_layer] == [
        ("2099-01-01T00:00:00+00:00", "asked by phone", "api")
    ]
    assert by_layer[0]["setBy"]

    def opt_in(query: str) -> int:
        answer = client.delete(f"/api/opt-outs?userId={ALICE}&{query}")
        return int(answer.get_json()["deleted"])

    assert [opt_in("layerId=3"), opt_in("layerId=3"), opt_in("scope=all")] == [1, 0, 1]
    assert opt_in("") == 1
    assert listed(client) == []


def test_the_last_opt_out_of_the_same_pushes_counts(client: FlaskClient) -> None:
    opt_out(client, until=LATER)
    opt_out(client, reason="for good")
    opt_out(client, reason="for good")

    (one,) = listed(client)
    assert (one["until"], one["reason"]) == (None, "for good")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"userId": "x"}, "userId: Not a valid UUID."),
        ({"userId": None}, "userId: "),
        ({"scope": "layer"}, "layerId: Missing for the scope."),
        ({"scope": "automation"}, "automationId: Missing for the scope."),
        ({"layerId": 3}, "layerId: Only the scope layer has it."),
        ({"scope": "layer", "layerId": 3, "automationId": "a"}, "automationId: Only the scope"),
        ({"scope": "layer", "layerId": 6}, "layerId: Layers are 1 to 5; 6 is none."),
        ({"scope": "some"}, "scope: Must be one of: all, layer, automation."),
        ({"until": PAST}, "until: Lies in the past"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "until: Instants lie between"),
        ({"until": "tomorrow"}, "until: Write an instant with its offset"),
        ({"reason": "x" * 201}, "reason: Longer than maximum length 200."),
        ({"reason": "a\0b"}, "may not hold the character NUL"),
        ({"untill": LATER}, "untill: Unknown field"),
    ],
)
def test_what_is_no_opt_out_is_refused_by_name(
    client: FlaskClient, given: dict[str, object], said: str
) -> None:
    refused = opt_out(client, **given)

    assert refused.status_code == 400
    assert said in refused.get_json()["error"]
    assert listed(client) == []


@pytest.mark.parametrize(
    ("query", "field"), [("scope=layer", "scope"), ("scope=all&layerId=2", "scope"), ("", "userId")]
)
def test_a_deletion_says_which(client: FlaskClient, query: str, field: str) -> None:
    user = f"userId={ALICE}&" if field == "scope" else ""

    refused = client.delete(f"/api/opt-outs?{user}{query}")

    assert refused.status_code in {400, 422}
    assert field in refused.get_json()["error"]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("layerID=3", "layerId"), ("layer_id=3", "layerId"), ("automation=news", "automationId")],
)
def test_a_slip_in_the_name_of_a_scope_deletes_no_opt_out(
    client: FlaskClient, slip: str, meant: str
) -> None:
    opt_out(client)

    refused = client.delete(f"/api/opt-outs?userId={ALICE}&{slip}")

    assert refused.status_code == 400
    assert f"did you mean '{meant}'?" in refused.get_json()["error"]
    assert len(listed(client)) == 1


@pytest.mark.parametrize("offset", ["+23:00", "-16:00", "+05:30:15.123456"])
def test_the_end_of_an_opt_out_may_have_any_offset(client: FlaskClient, offset: str) -> None:
    opt_out(client, until=f"2099-01-01T00:00:00{offset}")

    (one,) = listed(client)
    ends = datetime.fromisoformat(f"2099-01-01T00:00:00{offset}")
    assert datetime.fromisoformat(one["until"]) == ends


def test_a_long_list_is_read_page_by_page(client: FlaskClient) -> None:
    for layer in range(1, 6):
        opt_out(client, scope="layer", layerId=layer)

    seen, cursor = [], ""
    while True:
        page = client.get(f"/api/opt-outs?limit=2{cursor}").get_json()
        seen += [one["layerId"] for one in page["optOuts"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"

    assert seen == [1, 2, 3, 4, 5]


def bring(client: FlaskClient, text: str, query: str = "") -> Any:
    file = {"file": (BytesIO(text.encode()), "opt-outs.csv")}
    return client.post(f"/api/opt-outs/import?{query}", data=file)


def test_an_export_is_imported_again_and_bad_rows_are_told_by_line(client: FlaskClient) -> None:
    opt_out(client, scope="layer", layerId=3, until=LATER, reason="a, b")
    opt_out(client, userId=str(BOB), scope="automation", automationId="news")
    exported = client.get("/api/opt-outs.csv").get_data(as_text=True)
    before = [{**one, "source": "", "setAt": ""} for one in listed(client)]
    for user in (ALICE, BOB):
        client.delete(f"/api/opt-outs?userId={user}")

    trial = bring(client, exported, "dryRun=true").get_json()
    assert listed(client) == []
    done = bring(client, f"{exported}nobody,all\n").get_json()

    slip = bring(client, exported, "dryrun=true")
    assert (slip.status_code, slip.get_json()["error"]) == (400, "dryrun: Unknown field.")
    assert (trial["set"], done["rows"], done["set"], done["refused"]) == (2, 3, 2, 1)
    assert done["errors"] == [{"line": 4, "error": "userId: Not a valid UUID."}]
    assert [{**one, "source": "", "setAt": ""} for one in listed(client)] == before
    assert {one["source"] for one in listed(client)} == {"import"}
    assert bring(client, exported).get_json()["unchanged"] == 2


def test_a_guess_at_the_encoding_is_told(client: FlaskClient, operator: Visitor) -> None:
    text = f"user_id,reason\n{ALICE},zu viel für mich\n".encode("cp1252")
    told = "read as Windows-1252, for example 'zu viel für mich'"

    answer = client.post("/api/opt-outs/import", data=text, content_type="text/csv").get_json()
    file = {"file": (BytesIO(text), "opt-outs.csv"), "then": "check"}
    page = operator.client.post(
        "/opt-outs/import", data={**file, "csrf_token": operator.csrf_token()}
    )

    assert (answer["set"], told in answer["note"]) == (1, True)
    assert "read as Windows-1252, for example &#39;zu viel für mich&#39;" in page.text


def test_a_csv_of_users_alone_opts_them_out_of_all(client: FlaskClient) -> None:
    bring(client, f"user_id\n{ALICE}\n{BOB}\n")

    assert [one["scope"] for one in listed(client)] == ["all", "all"]
    assert "column user_id" in bring(client, "name\nx\n").get_json()["error"]


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return Visitor(app, "operator")


def test_the_page_opts_a_user_out_until_the_end_of_a_day_and_in_again(operator: Visitor) -> None:
    operator.post(
        "/opt-outs", userId=str(ALICE), pushes="layer/3", until="2099-01-01", reason="phone"
    )
    page = operator.get(f"/opt-outs?user={ALICE}")

    assert "the pushes of layer 3" in page
    assert "phone" in page
    operator.post("/opt-outs/remove", user=str(ALICE), scope="layer", target="3")
    assert "Nobody has opted out." in operator.get("/opt-outs")


def test_the_page_promises_no_pushes_to_a_user_with_other_opt_outs(operator: Visitor) -> None:
    for pushes in ("all", "layer/3"):
        operator.post("/opt-outs", userId=str(ALICE), pushes=pushes)

    operator.post("/opt-outs/remove", user=str(ALICE), scope="layer", target="3")

    page = operator.get("/opt-outs")
    assert "these still hold" in page
    assert "any push" in page


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"userId": "x"}, "Not a valid UUID."),
        ({"until": "soon"}, "Write an instant with its offset"),
        ({"until": "2020-01-01"}, "Lies in the past"),
        ({"pushes": "layer/9"}, "Layers are 1 to 5; 9 is none."),
        ({"pushes": "nobody/9"}, "Must be one of: all, layer, automation."),
    ],
)
def test_the_page_keeps_what_was_typed_and_says_what_is_wrong(
    operator: Visitor, given: dict[str, str], fault: str
) -> None:
    page = operator.post("/opt-outs", **{"userId": str(ALICE), "reason": "by phone", **given}).text

    assert fault in page
    assert 'value="by phone"' in page
    assert "Nobody has opted out." in page


def test_a_slip_in_the_name_of_a_filter_lists_nobody(client: FlaskClient) -> None:
    opt_out(client)

    refused = client.get("/api/opt-outs?layerID=3")

    assert refused.status_code == 400
    assert "layerId" in refused.get_json()["error"]
