"""The page that searches everything: automations, executions, users, scripts and templates."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, the_caller
from chassis.postgres import Database
from push_blaster.adapters.automations.template_files import TemplateFiles
from push_blaster.adapters.executions.execution_search import search_executions
from push_blaster.use_cases.automations.list_automations import contains_text
from push_blaster.use_cases.context import WebContext
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.template_filters import mode_words, spell_out

#: How many hits of each kind the page shows.
SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found, and the page about it."""

    label: str
    url: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Hits:
    """The first hits of one kind, and the page that has all of them, if there are more."""

    kind: str
    hits: list[Hit]
    more: str | None = None


def search_pages(context: WebContext, templates: TemplateFiles) -> Blueprint:
    """Return the search page."""
    pages = page_routes("search")

    @pages.get("/search")
    def show() -> ResponseReturnValue:
        """Show what contains the text, in groups."""
        text = request.args.get("q", "").strip()
        groups = _search(context, templates, text) if text else []
        found = [group for group in groups if group.hits]
        return render_template("search.html", q=text, groups=found)

    return pages


def _search(context: WebContext, templates: TemplateFiles, text: str) -> list[Hits]:
    lower = text.lower()
    known = context.files.read_all().values()
    fitting = [one for one in known if contains_text(one.document, text)]
    everything = url_for("pages_automations.list_all", q=text)
    return [
        Hits("Users", _find_users(text)),
        Hits(
            "Automations",
            [
                Hit(
                    one.automation.name,
                    url_for("pages_automations.show", automation_id=one.automation.id),
                    f"{one.automation.id}, {one.automation.status}",
                )
                for one in fitting[:SHOWN]
            ],
            everything if len(fitting) > SHOWN else None,
        ),
        Hits("Executions", _find_executions(context.database, text)),
        Hits("Scripts", list(_find_scripts(context, lower))[:SHOWN]),
        Hits("Templates", list(_find_templates(templates, lower))[:SHOWN]),
    ]


def _find_users(text: str) -> list[Hit]:
    """Return the pages about a user, if the text is a user id."""
    try:
        user = str(UUID(text))
    except ValueError:
        return []
    return [
        Hit("Everything about this user", url_for("pages_users.show", user_id=user)),
        Hit("Messages of this user", url_for("pages_deliveries.search", user=user)),
        Hit("Cadence of this user", url_for("pages_cadence.user", user=user)),
        Hit("Devices of this user", url_for("pages_devices.show", user=user)),
    ]


def _find_executions(database: Database, text: str) -> list[Hit]:
    with database.transaction() as connection:
        found = search_executions(connection, text, SHOWN)
    return [
        Hit(
            one.automation_name,
            url_for("pages_executions.show", execution_id=one.id),
            f"{one.id}, {mode_words(one.mode)}, {spell_out(one.phase)}",
        )
        for one in found
    ]


def _find_scripts(context: WebContext, text: str) -> Iterator[Hit]:
    for script in context.scripts.list_all():
        if _has(text, script.id, script.name, script.description):
            yield Hit(script.name, url_for("pages_scripts.show", script_id=script.id), script.id)


def _find_templates(templates: TemplateFiles, text: str) -> Iterator[Hit]:
    caller = the_caller()
    may_use = caller is not None and caller.role >= Role.ADMIN
    for one in templates.list_all().documents:
        if _has(text, one["id"], one["name"], one.get("description") or ""):
            page, chosen = ("show", one["id"]) if may_use else ("list_all", None)
            yield Hit(one["name"], url_for(f"pages_templates.{page}", template_id=chosen))


def _has(text: str, *parts: str) -> bool:
    return any(text in part.lower() for part in _of_text(parts))


def _of_text(parts: Iterable[object]) -> Iterator[str]:
    return (part for part in parts if isinstance(part, str))
