"""The audit log at the edge: every possible change is recorded before it is carried out.

This is one place for API and pages; no view can forget or avoid it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog
from flask import Flask, Response, current_app, request

from chassis.bearer_auth import Role, View, app_use, caller_name, is_open, the_caller
from chassis.clock import utc_now
from chassis.http.correlation import request_id, shown_path
from chassis.http.rate_limits import Limit, RateLimiter
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Connection, Database, DatabaseAwayError, DatabaseFaultError
from push_blaster.adapters.access.audit_table import insert_change, read_salt, update_answer
from push_blaster.domain.access.audit import AuditedChange, describe, hide_user
from push_blaster.web.access.audit_content import hash_body, read_content, read_detail
from push_blaster.web.frame.csrf import READS

log = structlog.get_logger()

#: How many attempts of people without a token one process records.
OF_STRANGERS: Final = Limit(requests=100, window=timedelta(hours=1))
#: How many changes of one user one process records: of a phone in the hands of the user.
OF_USER: Final = Limit(requests=20, window=timedelta(hours=1))
TOO_MANY: Final = 429
_ROW: Final = "push_blaster.audit_row"


class NotAuditedError(Exception):
    """The change cannot be recorded, so it is not made."""


def stops(*actions: str) -> Callable[[View], View]:
    """Mark a view that stops something: it has threads of its own, and needs no audit log to run.

    Shape: with `actions`, only where the body's `action` is one of them.
    """

    def mark(view: View) -> View:
        of_class(RequestClass.STOP)(view)
        view.stop_actions = frozenset(actions)  # type: ignore[attr-defined]  # read by _is_stop()
        return view

    return mark


def only_reads(view: View) -> View:
    """Mark a view that is called by POST, and changes nothing of ours: it is not recorded."""
    view.only_reads = True  # type: ignore[attr-defined]  # read by _only_reads()
    return view


def install_audit(app: Flask, database: Database) -> None:
    """Record every change that a caller may ask of `app`, and the answer."""
    strangers, users = RateLimiter(OF_STRANGERS), RateLimiter(OF_USER)

    @app.before_request
    def write_before() -> None:
        is_recorded = _is_change(app) and not is_open(app, request.endpoint or "")
        if is_recorded and not _is_routine(app, users):
            write_down(database)

    @app.after_request
    def write_answer(response: Response) -> Response:
        if _ROW not in request.environ and _is_change(app) and is_open(app, request.endpoint or ""):
            _note_stranger(database, strangers, response.status_code)
        if _ROW in request.environ:
            _record_answer(database, request.environ[_ROW], response.status_code)
        return response


def write_down(database: Database, content: Mapping[str, object] | None = None) -> None:
    """Record what the caller of this request asks for; an open view calls it for a known caller.

    Shape: `content` stands for the query and the body, if they may hold secrets.
    Raises: NotAuditedError, except for a stop.
    """
    content = read_content() if content is None else content
    try:
        with database.transaction() as connection:
            request.environ[_ROW] = insert_change(connection, _read_change(content, connection))
    except (DatabaseAwayError, DatabaseFaultError) as error:
        if not _is_stop():
            log.exception("change_refused_unaudited", endpoint=request.endpoint)
            raise NotAuditedError(
                "Nothing was done: the audit log cannot be written. Try again later."
            ) from error
        log.critical("stop_not_audited", path=shown_path(), actor=caller_name(), reason=str(error))


def _note_stranger(database: Database, strangers: RateLimiter, status: int) -> None:
    """Record an attempt of somebody unknown, without its content; not more than some an hour."""
    if status == TOO_MANY or strangers.take("all strangers", time.monotonic()).is_over:
        return
    try:
        with database.transaction() as connection:
            change = replace(_read_change({}, connection), body_hash=None)
            request.environ[_ROW] = insert_change(connection, change)
    except (DatabaseAwayError, DatabaseFaultError):
        log.exception("attempt_not_audited", path=shown_path())


def _record_answer(database: Database, row: int, status: int) -> None:
    caller = the_caller()
    named = (caller.name, caller.role.name.lower()) if caller else None
    try:
        found = read_detail()
        with database.transaction() as connection:
            detail = describe(found, read_salt(connection)) if found else None
            update_answer(connection, row, status, named, utc_now(), detail)
    except Exception:
        log.exception("audit_answer_missing", row=row, status=status)


def _read_change(content: Mapping[str, object], connection: Connection) -> AuditedChange:
    caller, salt = the_caller(), read_salt(connection)
    user = str((request.view_args or {}).get("user_id", ""))
    return AuditedChange(
        at=utc_now(),
        actor=caller.name if caller else None,
        role=caller.role.name.lower() if caller else None,
        method=request.method,
        path=shown_path(hide_user(user, salt)),
        endpoint=request.endpoint or "",
        what=describe(content, salt),
        request_id=request_id(),
        body_hash=hash_body() if content else None,
    )


def _is_change(app: Flask) -> bool:
    view = app.view_functions.get(request.endpoint or "")
    return view is not None and request.method not in READS and not hasattr(view, "only_reads")


def _is_routine(app: Flask, users: RateLimiter) -> bool:
    """Return whether an app does what apps do too often for the log, or one user does too much."""
    caller = the_caller()
    if caller is None or caller.role is not Role.APP:
        return False
    if not app_use(app.view_functions[request.endpoint or ""]).audited:
        return True
    return bool(caller.user_id) and users.take(caller.subject, time.monotonic()).is_over


def _is_stop() -> bool:
    view = current_app.view_functions[request.endpoint or ""]
    actions: frozenset[str] | None = getattr(view, "stop_actions", None)
    return actions is not None and (not actions or _action() in actions)


def _action() -> object:
    body = request.get_json(silent=True) if request.is_json else None
    named = (body if isinstance(body, dict) else request.view_args or {}).get("action")
    return named if isinstance(named, str) else None
