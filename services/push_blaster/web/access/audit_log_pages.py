"""The page of the audit log."""

from typing import Final

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for
from chassis.postgres import Database
from push_blaster.adapters.access.audit_table import AuditQuery, select_changes
from push_blaster.web.access.audit_log import AuditQuerySchema
from push_blaster.web.frame.frame import page_routes

FILTERS: Final[tuple[str, ...]] = ("actor", "path", "from", "until")


def audit_log_pages(database: Database) -> Blueprint:
    """Return the page about the audit log."""
    pages = page_routes("audit_log")

    @pages.get("/audit-log")
    @asks_for(Role.ADMIN)
    def show() -> ResponseReturnValue:
        """Show changes and attempts, newest first."""
        given = {name: value for name, value in request.args.items() if value.strip()}
        query: AuditQuery = AuditQuerySchema().load(_with_zone(given))
        with database.transaction() as connection:
            found = select_changes(connection, query)
        kept = {name: given[name] for name in FILTERS if name in given}
        older = found[-1].id if len(found) == query.limit else None
        return render_template(
            "audit_log.html", changes=found, kept=kept, exported=_with_zone(kept), older=older
        )

    return pages


def _with_zone(given: dict[str, str]) -> dict[str, str]:
    """Return the filters; instants without a zone, as a browser's field gives them, are UTC."""
    ends = {name: f"{given[name]}Z" for name in ("from", "until") if _lacks_zone(given, name)}
    return {**given, **ends}


def _lacks_zone(given: dict[str, str], name: str) -> bool:
    return len(given.get(name, "")) in {len("2026-11-24T12:30"), len("2026-11-24T12:30:00")}
