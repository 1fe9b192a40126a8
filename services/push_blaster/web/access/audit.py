"""The audit log at the edge: every possible change is recorded before it is carried out.

This is one place for API and pages; no view can forget or avoid it.
"""

from collections.abc import Callable
from typing import Final

import structlog
from flask import Flask, Response, request

from chassis.bearer_auth import View, the_caller
from chassis.clock import utc_now
from chassis.http.correlation import request_id, shown_path
from chassis.http.request_classes import RequestClass, of_class
from chassis.postgres import Database, DatabaseAwayError, DatabaseFaultError
from push_blaster.adapters.access.audit_table import insert_change, update_answer
from push_blaster.domain.access.audit import AuditedChange, describe
from push_blaster.web.frame.csrf import READS

log = structlog.get_logger()

#: Methods that change nothing.
_FORM: Final = "application/x-www-form-urlencoded"
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
    """Mark a view that is called by POST and changes nothing: it is not recorded."""
    view.only_reads = True  # type: ignore[attr-defined]  # read by _only_reads()
    return view


def install_audit(app: Flask, database: Database) -> None:
    """Record every change that a caller may ask of `app`, and the answer."""

    @app.before_request
    def write_down() -> None:
        if request.endpoint is None or _only_reads(app, request.endpoint):
            return
        change = _read_change(request.endpoint)
        try:
            with database.transaction() as connection:
                request.environ[_ROW] = insert_change(connection, change)
        except (DatabaseAwayError, DatabaseFaultError) as error:
            if not _is_stop(app):
                log.exception("change_refused_unaudited", endpoint=change.endpoint)
                raise NotAuditedError(
                    "Nothing was done: the audit log cannot be written. Try again later."
                ) from error
            log.critical(
                "stop_not_audited", path=change.path, actor=change.actor, reason=str(error)
            )

    @app.after_request
    def write_answer(response: Response) -> Response:
        if _ROW in request.environ:
            _record_answer(database, request.environ[_ROW], response.status_code)
        return response


def _record_answer(database: Database, row: int, status: int) -> None:
    caller = the_caller()
    named = (caller.name, caller.role.name.lower()) if caller else None
    try:
        with database.transaction() as connection:
            update_answer(connection, row, status, named, utc_now())
    except Exception:
        log.exception("audit_answer_missing", row=row, status=status)


def _read_change(endpoint: str) -> AuditedChange:
    caller = the_caller()
    return AuditedChange(
        at=utc_now(),
        actor=caller.name if caller else None,
        role=caller.role.name.lower() if caller else None,
        method=request.method,
        path=shown_path(),
        endpoint=endpoint,
        what=describe(_content()),
        request_id=request_id(),
    )


def _content() -> dict[str, object]:
    """Return query and body; the body of an upload is not read."""
    said: dict[str, object] = {"query": request.args.to_dict()} if request.args else {}
    if request.is_json:
        said["body"] = request.get_json(silent=True)
    elif request.mimetype == _FORM:
        said["form"] = request.form.to_dict()
    elif request.content_length:
        said["upload"] = {"type": request.mimetype, "bytes": request.content_length}
    return said


def _only_reads(app: Flask, endpoint: str) -> bool:
    return request.method in READS or getattr(app.view_functions[endpoint], "only_reads", False)


def _is_stop(app: Flask) -> bool:
    view = app.view_functions[request.endpoint or ""]
    actions: frozenset[str] | None = getattr(view, "stop_actions", None)
    return actions is not None and (not actions or _action() in actions)


def _action() -> object:
    body = request.get_json(silent=True) if request.is_json else None
    named = (body if isinstance(body, dict) else request.view_args or {}).get("action")
    return named if isinstance(named, str) else None
