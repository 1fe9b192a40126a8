"""The page about opt-outs: the users who do not want pushes, one of them, and a file of them."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.devices.opt_out_csv import NewOptOutSchema, make_opt_out, read_opt_outs
from push_blaster.adapters.devices.opt_out_table import (
    OptOutFilter,
    count_opt_outs,
    delete_opt_outs,
    select_opt_outs,
    upsert_opt_outs,
)
from push_blaster.domain.cadence.names import LAYERS, name_layer
from push_blaster.domain.devices.opt_out import SOURCE_WORDS, Scope, Source
from push_blaster.domain.zones import place_in_zone
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.devices.set_opt_outs import set_opt_outs
from push_blaster.web.devices.csv_imports import show_import
from push_blaster.web.devices.opt_outs import originate
from push_blaster.web.frame.asked_user import read_asked_user
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.page_times import reader_zone

ShowPage = Callable[..., ResponseReturnValue]
#: How many opt-outs the page shows; the export has all of them.
SHOWN: Final = 100
#: What a user may not want, as the form offers it.
_ALL: Final = "all"


def opt_out_pages(context: WebContext) -> Blueprint:
    """Return the page about opt-outs."""
    pages = page_routes("opt_outs")
    database = context.database

    def page(status: int = 200, **shown: Any) -> ResponseReturnValue:
        asked = read_asked_user()
        with database.transaction() as connection:
            fitting = OptOutFilter(user_id=asked.id)
            found = select_opt_outs(connection, fitting, utc_now(), None, SHOWN)
            in_all = count_opt_outs(connection, utc_now())
        names = {d["id"]: d["name"] for d in context.files.list_all().documents}
        choices = {_ALL: "all pushes"}
        choices |= {f"layer/{layer}": f"Layer {name_layer(layer)}" for layer in LAYERS}
        choices |= {f"automation/{id_}": name for id_, name in sorted(names.items(), key=_second)}
        shown = {"given": {}, "errors": {}, "asked": asked, "names": names, **shown}
        shown["sources"] = SOURCE_WORDS
        answer = render_template(
            "opt_outs.html", opt_outs=found, in_all=in_all, choices=choices, **shown
        )
        return answer, max(status, asked.status)

    @pages.get("/opt-outs")
    def list_all() -> ResponseReturnValue:
        """Show the opt-outs, or those of the user in the query."""
        return page()

    _add_changes(pages, database, page)
    return pages


def _add_changes(pages: Blueprint, database: Database, page: ShowPage) -> None:
    @pages.post("/opt-outs")
    @asks_for(Role.OPERATOR)
    def opt_out() -> ResponseReturnValue:
        """Opt a user out; the same form twice does it once."""
        try:
            given = NewOptOutSchema().load(_read_form(request.form))
            asked = make_opt_out(given, originate(Source.PAGE))
        except ValidationError as error:
            faults = {name: " ".join(said) for name, said in error.messages_dict.items()}
            return page(400, given=request.form, errors=_place_faults(faults))
        with database.transaction() as connection:
            upsert_opt_outs(connection, [asked])
        flash(f"{asked.user_id} {asked.describe()}.", "success")
        return redirect(url_for(".list_all", user=asked.user_id), 303)

    @pages.post("/opt-outs/remove")
    @asks_for(Role.OPERATOR)
    def opt_in() -> ResponseReturnValue:
        """Delete one opt-out; others of the user may be about the same pushes."""
        try:
            user_id, scope = UUID(request.form["user"]), Scope(request.form["scope"])
        except ValueError:
            return page(400)
        with database.transaction() as connection:
            delete_opt_outs(connection, user_id, scope, request.form.get("target", ""))
        flash(f"Removed. If {user_id} has other opt-outs, these still hold.", "success")
        return redirect(url_for(".list_all"), 303)

    @pages.post("/opt-outs/import")
    @asks_for(Role.OPERATOR)
    def bring() -> ResponseReturnValue:
        """Check a CSV of opt-outs, or set them."""
        return show_import(
            page,
            lambda file, name: read_opt_outs(file, name, originate(Source.IMPORT)),
            lambda file, dry_run: set_opt_outs(database, file.rows, dry_run=dry_run),
        )


def _second(pair: tuple[str, str]) -> str:
    return pair[1].lower()


def _read_form(form: Mapping[str, str]) -> Mapping[str, object]:
    """Return the fields of the form as clients of the API write them."""
    scope, _, target = form.get("pushes", _ALL).partition("/")
    given: dict[str, object] = {"userId": form.get("userId", "").strip(), "scope": scope}
    if target:
        given["layerId" if scope == Scope.LAYER else "automationId"] = target
    if day := form.get("until", "").strip():
        given["until"] = _find_end(day)
    return {**given, "reason": form.get("reason", "").strip()}


def _find_end(day: str) -> str:
    """Return the instant at which a day ends in the reader's zone; other texts stay as they are."""
    try:
        midnight = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time())
    except (ValueError, OverflowError):
        return day
    return place_in_zone(midnight, ZoneInfo(reader_zone())).at.isoformat()


def _place_faults(faults: Mapping[str, str]) -> Mapping[str, str]:
    """Return the faults by the fields of the form, which has one field for all scopes."""
    return {("pushes" if n in _IN_PUSHES else n): fault for n, fault in faults.items()}


_IN_PUSHES: Final = frozenset({"scope", "layerId", "automationId"})
