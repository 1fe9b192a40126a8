"""The search over everything, by name, by id, and by user."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import a_template, create


@pytest.fixture
def news(client: FlaskClient, bench: Bench, tmp_path: Path) -> str:
    create(client, id="spring-news", name="Spring <news>")
    client.post("/api/automation/templates", json=a_template())
    (tmp_path / "scripts" / "spring_people.py").write_text('"""People of spring."""')
    return bench.start(id="spring-news", name="Spring <news>")


def test_a_word_finds_every_kind(viewer: Visitor, news: str) -> None:
    page = viewer.get("/search?q=SPRING")

    assert 'href="/automations/spring-news">Spring &lt;news&gt;</a>' in page
    assert f'href="/executions/{news}"' in page
    assert 'href="/scripts/spring_people"' in page
    assert ">Templates</h2>" in page


def test_an_execution_is_found_by_its_id_and_by_a_part_of_it(viewer: Visitor, news: str) -> None:
    for text in (news, news[3:20]):
        assert f'href="/executions/{news}"' in viewer.get(f"/search?q={text}")


def test_a_user_leads_to_the_pages_about_the_user(viewer: Visitor, news: str) -> None:
    page = viewer.get(f"/search?q={str(ALICE).upper()}")

    for path in ("/deliveries", "/cadence/users", "/devices"):
        assert f'href="{path}?user={ALICE}"' in page


def test_the_links_are_those_that_the_role_may_open(
    viewer: Visitor, admin: Visitor, news: str
) -> None:
    assert 'href="/templates"' in viewer.get("/search?q=spring")
    assert 'href="/templates/spring"' not in viewer.get("/search?q=spring")
    assert 'href="/templates/spring"' in admin.get("/search?q=spring")


@pytest.mark.parametrize("text", ["%", "s_r", "'", "no such thing", "a" * 5_000])
def test_what_is_nowhere_is_said(viewer: Visitor, news: str, text: str) -> None:
    page = viewer.client.get("/search", query_string={"q": text})

    assert page.status_code == 200
    assert "Nothing matches" in page.text


def test_the_search_stands_on_every_page_and_begins_empty(viewer: Visitor, news: str) -> None:
    assert 'action="/search"' in viewer.get("/executions")
    assert "Type a part of a name" in viewer.get("/search")
    assert "More" not in viewer.get("/search?q=spring")


def test_more_than_ten_lead_to_the_whole_list(
    viewer: Visitor, client: FlaskClient, news: str
) -> None:
    for number in range(11):
        create(client, id=f"many-{number}", name=f"Many {number}")

    page = viewer.get("/search?q=many")

    assert page.count('href="/automations/many-') == 10
    assert 'href="/automations?q=many"' in page
