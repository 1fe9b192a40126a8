"""The page of the audit log."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.postgres import Database
from push_blaster.adapters.access.audit_table import AuditQuery, select_changes
from push_blaster.domain.access.audit import AuditResult
from push_blaster.domain.zones import place_in_zone
from push_blaster.web.access.audit_log import AuditQuerySchema
from push_blaster.web.access.audit_words import ABOUT
from push_blaster.web.access.described_changes import Label, Names, describe_change
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.page_times import read_times

FILTERS: Final[tuple[str, ...]] = ("actor", "about", "result", "path", "from", "until")


def audit_log_pages(database: Database, read_names: Callable[[], Names], label: Label) -> Blueprint:
    """Return the page about the audit log; `label` names a field as its form does."""
    pages = page_routes("audit_log")

    @pages.get("/audit-log")
    @asks_for(Role.ADMIN)
    def show() -> ResponseReturnValue:
        """Show changes and attempts, newest first."""
        given = {name: value for name, value in request.args.items() if value.strip()}
        zone = read_times().zone
        query: AuditQuery = AuditQuerySchema().load(_place_in(zone, given))
        with database.transaction() as connection:
            found = select_changes(connection, query)
        kept = {name: given[name] for name in FILTERS if name in given}
        names = read_names()
        return render_template(
            "audit_log.html",
            changes=[describe_change(row, names, label) for row in found],
            kept=kept,
            exported=_place_in(zone, kept),
            older=found[-1].id if len(found) == query.limit else None,
            about=list(ABOUT),
            results=list(AuditResult),
        )

    return pages


def _place_in(zone: ZoneInfo, given: dict[str, str]) -> dict[str, str]:
    """Return the filters; instants without a zone, as a browser's field gives them, are of it."""
    ends: dict[str, str] = {
        name: _read_end(zone, given[name]) for name in ("from", "until") if name in given
    }
    return {**given, **ends}


def _read_end(zone: ZoneInfo, text: str) -> str:
    try:
        local = datetime.fromisoformat(text)
        at = local if local.tzinfo else place_in_zone(local, zone).at
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ" if at.second else "%Y-%m-%dT%H:%MZ")
    except (ValueError, OverflowError):
        return text
