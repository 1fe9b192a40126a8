"""The frame of all pages: navigation, words, and the files that a browser may load."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final, TypeAlias

import structlog
from flask import Blueprint, Flask, Response, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_bootstrap import Bootstrap5
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, NotFound

from chassis.bearer_auth import Role, caller_only_simulates, needs_no_token, the_caller
from chassis.clock import utc_now
from chassis.problems import Problem, answer_http_exception, find_problem, flatten_messages
from push_blaster.use_cases.context import PAGE_KEY, TEST_KEY
from push_blaster.web.frame import template_filters
from push_blaster.web.frame.csrf import CSRF_FIELD, csrf_token
from push_blaster.web.frame.drafts import DRAFT_FIELD
from push_blaster.web.frame.page_times import USUAL_ZONE, read_times
from push_blaster.web.frame.repeatable import hash_files, name_by_key

log = structlog.get_logger()

UNEXPECTED: Final = 500
#: Fields that differ when the same form is sent again after another sign-in.
_NOT_CONTENT: Final = {CSRF_FIELD, DRAFT_FIELD}
Problems: TypeAlias = Mapping[type[Exception], Problem]
#: Nothing but our own files; bootstrap's style sheet holds its icons as data.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, slots=True)
class NavEntry:
    """One line of the navigation."""

    endpoint: str
    label: str
    needs: Role = Role.VIEWER


#: The groups of the navigation by their headings; the pages of every day need no heading.
NAVIGATION: Final = {
    "": (
        NavEntry("pages_dashboard.show", "Dashboard"),
        NavEntry("pages_automations.list_all", "Automations"),
        NavEntry("pages_calendar.show", "Calendar"),
        NavEntry("pages_executions.list_all", "Executions"),
        NavEntry("pages_results.show", "Results"),
        NavEntry("pages_send.write", "Send a push", Role.OPERATOR),
    ),
    "Users": (
        NavEntry("pages_users.search", "One user"),
        NavEntry("pages_deliveries.search", "Deliveries"),
        NavEntry("pages_cadence.rules", "Cadence"),
        NavEntry("pages_devices.show", "Devices"),
        NavEntry("pages_opt_outs.list_all", "Opt-outs"),
    ),
    "Building blocks": (
        NavEntry("pages_scripts.list_all", "Scripts"),
        NavEntry("pages_templates.list_all", "Templates"),
        NavEntry("pages_api_docs.push", "API"),
    ),
    "Administration": (
        NavEntry("pages_alerts.list_all", "Alerts", Role.OPERATOR),
        NavEntry("pages_audit_log.show", "Audit log", Role.ADMIN),
        NavEntry("pages_tokens.list_all", "Tokens", Role.ADMIN),
        NavEntry("pages_people.show", "People", Role.ADMIN),
    ),
}

#: Pages whose path does not begin with the path of their entry: the first part of both paths.
BELONGS_TO: Final = {
    "bulk": "automations",
    "deleted-automations": "automations",
    "erasures": "users",
}


def install_page_frame(
    app: Flask, *, to_file: bool, timezone: str, is_saved: Callable[[str], bool]
) -> None:
    """Give every template its frame: navigation, role, words; and every page its headers.

    Every page says that messages go `to_file`, and to no device. An execution leads back to its
    automation, if this one `is_saved`. All times are in `timezone` for readers who have not chosen
    another zone.
    """
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    Bootstrap5(app)
    for endpoint in ("static", "bootstrap.static"):
        # Style and scripts are no secret; a bound method takes no mark, so it is wrapped.
        app.view_functions[endpoint] = needs_no_token(partial(app.view_functions[endpoint]))
    app.jinja_env.filters.update(template_filters.FILTERS)
    app.jinja_env.filters.update(template_filters.TIME_FILTERS)
    app.config[USUAL_ZONE] = timezone

    @app.context_processor
    def frame() -> dict[str, object]:
        caller = the_caller()
        role = caller.role if caller else None
        return {
            "caller": caller,
            "may": partial(_may, role),
            "navigation": _find_navigation(role),
            "entry_here": find_entry(request.path),
            "csrf_token": csrf_token,
            "once": partial(token_urlsafe, 12),
            "now": utc_now(),
            "times": read_times(),
            "to_file": to_file,
            "is_saved": is_saved,
            "span_units": template_filters.SPAN_UNITS,
        }

    @app.after_request
    def guard(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def page_routes(name: str) -> Blueprint:
    """Return a blueprint of pages."""
    return Blueprint(f"pages_{name}", __name__)


def once_key() -> str:
    """Return the idempotency key of the form that was sent; a form sent twice starts one thing."""
    key = f"{PAGE_KEY}{request.form['once']}"
    return f"{TEST_KEY}{key}" if caller_only_simulates() else key


def name_by_form(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body of a new document, with the same id whenever the same form is sent."""
    return name_by_key(body, form_key()) if request.form.get("once") else body


def form_key() -> str:
    """Return the key of the form that was sent, of what it says, and of its files.

    A form that was changed and sent again makes another thing.
    """
    content = sorted(p for p in request.form.items(multi=True) if p[0] not in _NOT_CONTENT)
    hashed = sha256(f"{content} {hash_files()}".encode()).hexdigest()
    return f"{once_key()} {hashed}"


def flash_with_undo(text: str, undo: str, fields: Mapping[str, str] | None = None) -> None:
    """Say on the next page what was done, beside a button that posts `fields` to `undo`."""
    said: Any = {"text": text, "undo": undo, "fields": dict(fields or {})}
    flash(said, "success")


def show_errors_as_pages(pages: Blueprint, problems: Problems) -> None:
    """Let every error of these pages be a page too; `problems` says which error is which."""
    pages.register_error_handler(Exception, partial(_show_problem, problems))


def show_unknown_addresses(app: Flask) -> None:
    """Let a browser that asks for a page that does not exist see a page; others get a problem."""

    def answer(error: HTTPException) -> ResponseReturnValue:
        is_of_api = request.path.startswith(("/api/", "/health"))
        wants_page = "text/html" in request.headers.get("Accept", "")
        return (
            _show_problem({}, error)
            if wants_page and not is_of_api
            else answer_http_exception(error)
        )

    for status in (404, 405):
        app.register_error_handler(status, answer)


def _may(role: Role | None, needed: str) -> bool:
    return role is not None and role >= Role[needed]


def find_entry(path: str) -> str:
    """Return the endpoint of the entry to which a page belongs, by the first part of its path.

    An empty text is returned for pages that belong to no entry.
    """
    entries = [entry.endpoint for group in NAVIGATION.values() for entry in group]
    by_part = {_first_part(url_for(endpoint)): endpoint for endpoint in entries}
    part = _first_part(path)
    return by_part.get(BELONGS_TO.get(part, part), "")


def _first_part(path: str) -> str:
    return path.split("/")[1]


def _find_navigation(role: Role | None) -> dict[str, list[NavEntry]]:
    """Return the entries of the navigation that a role may open; no group is empty."""
    groups = (
        (name, [e for e in es if _may(role, e.needs.name)]) for name, es in NAVIGATION.items()
    )
    return {name: entries for name, entries in groups if entries}


def _show_problem(problems: Problems, error: Exception) -> tuple[str, int]:
    if isinstance(error, ValidationError):
        problem, text = Problem(400, "Bad Request"), "; ".join(flatten_messages(error.messages))
    elif isinstance(error, NotFound) and request.url_rule is None:
        problem, text = Problem(404, "Not found"), "There is no page at this address."
    elif isinstance(error, HTTPException):
        problem = Problem(error.code or 500, error.name)
        text = error.description or error.name
    else:
        problem = find_problem(error, problems)
        text = str(error)
    if problem.status == UNEXPECTED:
        log.error("page_crashed", exc_info=error)
        text = "The service failed on this page; its log says why."
    page = render_template("problem.html", problem=problem, text=text, wanted=request.path)
    return page, problem.status
