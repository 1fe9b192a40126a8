"""The page of the audit log."""

from uuid import uuid4

from tests.push_blaster.web.page_support import Visitor


def test_an_admin_sees_who_changed_what(admin: Visitor, operator: Visitor) -> None:
    reason = uuid4().hex
    operator.post("/executions/none/cancel", reason=reason)

    page = admin.get("/audit-log?actor=operator&path=/executions")

    assert reason in page
    assert "POST /executions/none/cancel" in page
    assert 'href="/api/audit-log/export.csv?actor=operator&amp;path=/executions"' in page


def test_without_a_choice_the_times_of_the_form_are_utc(admin: Visitor) -> None:
    page = admin.get("/audit-log?from=2026-01-01T00:00&until=2026-01-02T00:00")

    assert "No entry matches these filters." in page
    assert 'value="2026-01-01T00:00"' in page
    assert "from=2026-01-01T00:00Z" in page


def test_the_times_of_the_form_are_in_the_zone_of_the_reader(admin: Visitor) -> None:
    admin.post("/times", zone="Asia/Tokyo", hours="24")

    page = admin.get("/audit-log?from=2026-01-01T09:00")

    assert "From, Asia/Tokyo" in page
    assert 'value="2026-01-01T09:00"' in page
    assert "from=2026-01-01T00:00Z" in page


def test_others_do_not_see_it(operator: Visitor) -> None:
    assert operator.client.get("/audit-log").status_code == 403
    assert 'href="/audit-log"' not in operator.get("/executions")
