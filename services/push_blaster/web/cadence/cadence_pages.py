"""The pages about cadence: rules, what others would have done, one user, reach, imports."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from push_blaster.adapters.audiences.frozen_audiences import read_users
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.cadence.cadence_records import CadenceRecords, CadenceRefusedError
from push_blaster.adapters.delivery.delivery_search import select_deliveries_of
from push_blaster.adapters.executions.execution_view import select_last_audience
from push_blaster.use_cases.context import WebContext
from push_blaster.web.access.audit import only_reads
from push_blaster.web.cadence.rule_form import read_rules_form
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.template_filters import LAYERS

WEEK_HOURS: Final = 168
#: So many of a user's last pushes are shown beside what cadence says.
HISTORY: Final = 20
#: So many users of an audience are asked about; more would not change the curve.
SAMPLE: Final = 200_000


def cadence_pages(context: WebContext, records: CadenceRecords) -> Blueprint:
    """Return the pages about cadence."""
    pages = page_routes("cadence")

    @pages.get("/cadence")
    def rules() -> ResponseReturnValue:
        """Show the rules in force, and what was changed about them."""
        found = records.read_rules()
        return _show_rules(found["rules"], str(found["version"]), changes=records.list_changes())

    @pages.post("/cadence/simulate")
    @only_reads
    @asks_for(Role.OPERATOR)
    def simulate() -> ResponseReturnValue:
        """Show what the rules of the form would have done with the last weeks."""
        sent = read_rules_form(request.form)
        version = request.form.get("version", "")
        in_force = records.read_rules()["rules"]
        try:
            after, before = records.simulate(sent), records.simulate(in_force)
        except CadenceRefusedError as refusal:
            return _show_rules(sent, version, fault=str(refusal), status=400)
        return _show_rules(sent, version, effect=_effect(before, after))

    @pages.post("/cadence/rules")
    def save() -> ResponseReturnValue:
        """Put the rules of the form in force."""
        sent = read_rules_form(request.form)
        version = request.form.get("version", "")
        by, note = (request.form.get(name, "").strip() for name in ("by", "note"))
        try:
            saved = records.replace_rules(sent, version, by or caller_name(), note)
        except CadenceRefusedError as refusal:
            return _show_rules(sent, version, fault=str(refusal), status=409)
        flash(f"Rules saved as version {saved['version']}. They apply at once.", "success")
        return redirect(url_for(".rules"), 303)

    @pages.get("/cadence/users")
    def user() -> ResponseReturnValue:
        """Explain one user: what blocks, which sends counted, when free again."""
        asked = request.args.get("user", "").strip()
        standing, found, fault = None, [], None
        if asked:
            try:
                standing = records.explain_user(UUID(asked))
                with context.database.transaction() as connection:
                    found = select_deliveries_of(connection, UUID(asked), None, HISTORY)
            except ValueError:
                fault = f"{asked!r} is no user id; ids are UUIDs."
        status = 400 if fault else 200
        page = render_template(
            "cadence_user.html", asked=asked, standing=standing, found=found, fault=fault
        )
        return page, status

    @pages.get("/cadence/reach")
    def reach() -> ResponseReturnValue:
        """Show how many of an automation's last audience a push would reach, hour by hour."""
        documents = [d for d in context.files.list_all().documents if d.get("audienceCriteria")]
        chosen = request.args.get("automation", "")
        curve = _reach(context, records, context.files.load(chosen)) if chosen else None
        return render_template(
            "cadence_reach.html", documents=documents, chosen=chosen, curve=curve
        )

    @pages.get("/cadence/imports")
    def imports() -> ResponseReturnValue:
        """List the imports of history."""
        return render_template("cadence_imports.html", imports=_imports(records), found=None)

    @pages.get("/live/cadence/imports")
    def live_imports() -> ResponseReturnValue:
        """Return the list of them, as it grows."""
        return render_template("parts/cadence_imports.html", imports=_imports(records))

    @pages.post("/cadence/imports")
    def bring() -> ResponseReturnValue:
        """Look at a CSV of history, or import it."""
        file = request.files.get("file")
        is_trial = request.form.get("then") != "import"
        if file is None or not file.filename:
            flash("Choose a CSV file first.", "error")
            return redirect(url_for(".imports"), 303)
        try:
            found = records.import_history(file.filename, file.stream, dry_run=is_trial)  # type: ignore[arg-type]  # a file all the same
        except CadenceRefusedError as refusal:
            flash(str(refusal), "error")
            return redirect(url_for(".imports"), 303)
        return render_template(
            "cadence_imports.html", imports=_imports(records), found=found, is_trial=is_trial
        )

    @pages.post("/cadence/imports/<int:import_id>/undo")
    def undo(import_id: int) -> ResponseReturnValue:
        """Take an import back."""
        removed = records.undo_import(import_id)
        flash(f"Import undone: {removed} notifications removed.", "success")
        return redirect(url_for(".imports"), 303)

    return pages


def _show_rules(
    rules: Sequence[Mapping[str, Any]],
    version: str,
    *,
    changes: Sequence[Mapping[str, Any]] = (),
    effect: Mapping[str, Any] | None = None,
    fault: str | None = None,
    status: int = 200,
) -> tuple[str, int]:
    page = render_template(
        "cadence_rules.html",
        rules=rules,
        version=version,
        changes=[{**c, "changedAt": datetime.fromisoformat(c["changedAt"])} for c in changes],
        effect=effect,
        fault=fault,
        layers=LAYERS,
    )
    return page, status


def _effect(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what would have gone out and been held back, under the old and the new rules."""
    layers = sorted({*before["byLayer"], *after["byLayer"]})
    nothing = {"allowed": 0, "heldBack": 0}
    return {
        "start": datetime.fromisoformat(after["from"]),
        "end": datetime.fromisoformat(after["until"]),
        "before": before["total"],
        "after": after["total"],
        "users": after["usersAffected"],
        "layers": [
            (layer, before["byLayer"].get(layer, nothing), after["byLayer"].get(layer, nothing))
            for layer in layers
        ],
    }


def _reach(
    context: WebContext, records: CadenceRecords, document: Mapping[str, Any]
) -> dict[str, Any] | None:
    automation = read_automation(document)
    push = automation.pushes[0]
    with context.database.transaction() as connection:
        last = select_last_audience(connection, automation.script_id or "", push.audience_name)
    if last is None or not (context.data_folder / last.file).exists():
        return None
    users = next(read_users(context.data_folder / last.file, SAMPLE), [])
    forecast = records.forecast(users, push.layer_id, WEEK_HOURS)
    asked = max(1, forecast["askedCount"])
    points = [
        {**p, "at": datetime.fromisoformat(p["at"]), "percent": p["eligible"] * 100 / asked}
        for p in forecast["reach"]
    ]
    best = max(points, key=lambda p: p["eligible"])
    return {
        "automation": automation,
        "push": push,
        "asked": asked,
        "points": points,
        "now": points[0],
        "best": best,
        "fault": forecast["failOpenReason"],
        "line": " ".join(
            f"{round(n * 1000 / max(1, len(points) - 1), 1)},{round(100 - p['percent'], 2)}"
            for n, p in enumerate(points)
        ),
    }


def _imports(records: CadenceRecords) -> list[dict[str, Any]]:
    return [
        {**one, "startedAt": datetime.fromisoformat(one["startedAt"])}
        for one in records.list_imports()
    ]
