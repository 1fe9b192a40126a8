"""The pages about cadence: rules and their simulation, one user, reach, imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.cadence.cadence_records import (
    AllowedSends,
    CadenceRecords,
    CadenceRefusedError,
    JsonObject,
    RuleSet,
    Simulation,
)
from push_blaster.adapters.delivery.delivery_search import DeliveryFilter, select_deliveries_of
from push_blaster.domain.cadence.caps import Cap
from push_blaster.domain.cadence.names import name_layer
from push_blaster.domain.engagement.comparison import Comparison
from push_blaster.domain.engagement.fatigue_curve import say_cap
from push_blaster.use_cases.cadence.compare_capped import compare_capped
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.engagement.read_fatigue import read_fatigue
from push_blaster.web.access.audit import only_reads
from push_blaster.web.access.audit_content import note_change
from push_blaster.web.cadence.reach import find_reach
from push_blaster.web.cadence.rule_form import (
    RULE_LABELS,
    describe_field,
    list_caps,
    merge_rules,
    read_rules_form,
    read_version,
)
from push_blaster.web.engagement.charts import RatioChart, chart_ratios
from push_blaster.web.engagement.fatigue import ShownFatigue
from push_blaster.web.engagement.shown_results import draw_interval
from push_blaster.web.frame.asked_user import read_asked_user
from push_blaster.web.frame.conflicts import (
    DRAWN,
    read_choices,
    read_drawn,
    show_conflict,
    write_drawn,
)
from push_blaster.web.frame.document_paths import find_differences
from push_blaster.web.frame.drafts import only_shows
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.frame.marks import SEEN_RULES, keep_mark
from push_blaster.web.frame.merging import Merge

#: How many of a user's last pushes the page shows.
HISTORY: Final = 20

_NOTHING_LEFT: Final = (
    "Version {}, which somebody has saved meanwhile, has all that your form has changed. Before "
    "you change more, read them again: these are the rules in force."
)


def cadence_pages(context: WebContext, records: CadenceRecords) -> Blueprint:
    """Return the pages about cadence."""
    pages = page_routes("cadence")
    _add_rule_pages(pages, context, records)
    _add_user_page(pages, context, records)
    _add_reach_page(pages, context, records)
    _add_import_pages(pages, records)
    return pages


def _add_rule_pages(pages: Blueprint, context: WebContext, records: CadenceRecords) -> None:
    @pages.get("/cadence")
    def rules() -> ResponseReturnValue:
        """Show the rules in force, and their changes."""
        found = records.read_rules()
        changes = [(change, _compare(change)) for change in records.list_changes()]
        drawn = write_drawn(found.rules)
        fatigue = _read_fatigue(context.database)
        page, status = _show_rules(
            records, found.rules, found.version, drawn, changes=changes, fatigue=fatigue
        )
        return keep_mark(make_response(page, status), SEEN_RULES)

    @pages.post("/cadence/simulate")
    @only_reads
    @asks_for(Role.OPERATOR)
    def simulate() -> ResponseReturnValue:
        """Show the effect that the rules of the form would have had in the last weeks."""
        sent, version, drawn = _read_form()
        if only_shows():
            return _show_rules(records, sent, version, drawn)
        in_force = records.read_rules().rules
        try:
            after, before = records.simulate(sent), records.simulate(in_force)
        except CadenceRefusedError as refusal:
            return _show_rules(records, sent, version, drawn, fault=str(refusal), status=400)
        capped = compare_capped(context.database, _read_caps(records, sent), utc_now())
        effect, fatigue = RuleEffect(before, after, capped), _read_fatigue(context.database)
        return _show_rules(records, sent, version, drawn, effect=effect, fatigue=fatigue)

    @pages.post("/cadence/rules")
    def save() -> ResponseReturnValue:
        """Put the rules of the form in force, over what somebody else has changed meanwhile."""
        sent, version, drawn = _read_form()
        if only_shows():
            return _show_rules(records, sent, version, drawn)
        current = records.read_rules()
        is_newest = version == current.version
        return (_put_in_force if is_newest else _lay_over)(records, current, sent)


def _lay_over(
    records: CadenceRecords, current: RuleSet, sent: Sequence[JsonObject]
) -> ResponseReturnValue:
    """Put what the form has changed in force, over the rules that are newer than the form."""
    merged = merge_rules(read_drawn(), sent, current.rules, read_choices(current.version))
    if merged.conflicts:
        return _ask_whose(merged, current.version)
    rules = list(merged.document.values())
    if not merged.is_change:
        return _refuse(records, current, rules, _NOTHING_LEFT.format(current.version))
    return _put_in_force(records, current, rules)


def _put_in_force(
    records: CadenceRecords, current: RuleSet, rules: Sequence[JsonObject]
) -> ResponseReturnValue:
    """Replace the current rules; show the form again if the cadence service refuses them."""
    try:
        saved = _replace(records, current, rules)
    except CadenceRefusedError as refusal:
        return _refuse(records, current, rules, str(refusal))
    flash(f"Rules saved as version {saved.version}. They apply at once.", "success")
    return redirect(url_for(".rules"), 303)


def _refuse(
    records: CadenceRecords, current: RuleSet, rules: Sequence[JsonObject], fault: str
) -> ResponseReturnValue:
    drawn = write_drawn(current.rules)
    return _show_rules(records, rules, current.version, drawn, fault=fault, status=409)


def _replace(records: CadenceRecords, current: RuleSet, rules: Sequence[JsonObject]) -> RuleSet:
    """Replace the current rules, and note the change for the audit log; CadenceRefusedError."""
    saved = records.replace_rules(rules, current.version, caller_name(), _read_note())
    before, after = ({rule["name"]: rule for rule in r} for r in (current.rules, saved.rules))
    note_change("rules", before, after)
    return saved


def _read_form() -> tuple[list[Mapping[str, Any]], str, str]:
    """Return the rules of the form, and the version and the rules that it was drawn from."""
    return read_rules_form(request.form), read_version(request.form), request.form.get(DRAWN, "")


def _read_note() -> str:
    """Return the reason of the form, with the name that it claims."""
    by, note = (request.form.get(name, "").strip() for name in ("by", "note"))
    return f"{note} (claimed: by {by})".strip() if by and by != caller_name() else note


def _ask_whose(merged: Merge, version: str) -> ResponseReturnValue:
    return show_conflict(
        merged,
        noun="the cadence rules",
        version=version,
        current_page=url_for(".rules"),
        describe=lambda one: describe_field(one.path),
    )


class FieldChange(NamedTuple):
    """A field of a rule, or of a layer, that was changed."""

    rule: str
    field: str
    was: object
    now: object


def _compare(change: JsonObject) -> list[FieldChange]:
    """Return the fields that a change of the rules, or of a layer, has changed."""
    before, after = (_name_rules(change[side]) for side in ("before", "after"))
    found = [(one.path.rpartition("."), one) for one in find_differences(before, after)]
    return [
        FieldChange(rule, RULE_LABELS.get(field, field), one.mine, one.theirs)
        for (rule, _, field), one in found
        if not (rule and field == "name")
    ]


def _name_rules(value: Any) -> JsonObject:
    return {rule["name"]: rule for rule in value} if isinstance(value, list) else value or {}


def _add_user_page(pages: Blueprint, context: WebContext, records: CadenceRecords) -> None:
    @pages.get("/cadence/users")
    def user() -> ResponseReturnValue:
        """Explain the caps of one user: the rule, the sends that count, and the end."""
        asked = read_asked_user()
        standing, found = None, []
        if asked.id:
            standing = records.explain_user(asked.id)
            with context.database.transaction() as connection:
                found = select_deliveries_of(connection, asked.id, DeliveryFilter(), None, HISTORY)
        page = render_template(
            "cadence_user.html",
            asked=asked.text,
            standing=standing,
            layers=_read_layers(records) if standing else {},
            found=found,
            fault=asked.fault,
        )
        return page, asked.status


def _add_reach_page(pages: Blueprint, context: WebContext, records: CadenceRecords) -> None:
    @pages.get("/cadence/reach")
    def reach() -> ResponseReturnValue:
        """Show how many users of an automation's last audiences its pushes would reach."""
        documents = [d for d in context.files.list_all().documents if d.get("audienceCriteria")]
        chosen = request.args.get("automation", "")
        found = find_reach(context, records, context.files.load(chosen)) if chosen else None
        return render_template(
            "cadence_reach.html", documents=documents, chosen=chosen, found=found
        )


def _add_import_pages(pages: Blueprint, records: CadenceRecords) -> None:
    @pages.get("/cadence/imports")
    def imports() -> ResponseReturnValue:
        """List the imports of history."""
        return render_template("cadence_imports.html", imports=records.list_imports(), found=None)

    @pages.get("/live/cadence/imports")
    def live_imports() -> ResponseReturnValue:
        """Return the list of imports, which grows."""
        return render_template("parts/cadence_imports.html", imports=records.list_imports())

    @pages.post("/cadence/imports")
    def bring() -> ResponseReturnValue:
        """Check a CSV of history, or import it."""
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
            "cadence_imports.html", imports=records.list_imports(), found=found, is_trial=is_trial
        )

    @pages.post("/cadence/imports/<int:import_id>/undo")
    def undo(import_id: int) -> ResponseReturnValue:
        """Undo an import."""
        removed = records.undo_import(import_id)
        flash(f"Import undone: {removed} notifications removed.", "success")
        return redirect(url_for(".imports"), 303)


@dataclass(frozen=True, slots=True)
class RuleEffect:
    """The recorded pushes under the rules in force, and under other rules.

    Shape: `capped` compares the pushes that the other rules would cap with all others.
    """

    before: Simulation
    after: Simulation
    capped: Comparison

    @property
    def sentence(self) -> str:
        """What the other rules cost and save."""
        fewer = self.before.total.allowed - self.after.total.allowed
        return say_cap(fewer, self.after.end - self.after.start, self.capped)

    @property
    def chart(self) -> RatioChart | None:
        """The interval of the comparison, if there is one and the rules cap more pushes."""
        is_drawn = self.after.total.allowed < self.before.total.allowed and self.capped.low
        return chart_ratios([draw_interval(self.capped)]) if is_drawn else None

    @property
    def layers(self) -> list[tuple[str, AllowedSends, AllowedSends]]:
        """Return each layer with its sends before and after."""
        before, after, none = self.before.by_layer, self.after.by_layer, AllowedSends(0, 0)
        layers = sorted({*before, *after})
        return [(layer, before.get(layer, none), after.get(layer, none)) for layer in layers]


def _read_caps(records: CadenceRecords, rules: Sequence[JsonObject]) -> list[Cap]:
    exempt = {layer["id"] for layer in records.list_layers() if layer["isExempt"]}
    return list_caps(rules, exempt)


def _read_fatigue(database: Database) -> ShownFatigue:
    """Return the fatigue curve of the layer of the address."""
    layer_id = request.args.get("layer", type=int)
    known = layer_id if layer_id in range(1, 2**15) else None
    return ShownFatigue(read_fatigue(database, known, utc_now()))


def _show_rules(
    records: CadenceRecords,
    rules: Sequence[JsonObject],
    version: str,
    drawn: str,
    status: int = 200,
    **shown: object,
) -> tuple[str, int]:
    """Return the page of the rules; beside them it may show `changes`, an `effect` or a `fault`.

    Shape: `drawn` are the rules in force that the form was drawn from first, as JSON.
    """
    page = render_template(
        "cadence_rules.html",
        rules=rules,
        version=version,
        drawn=drawn,
        layers=_read_layers(records),
        **shown,
    )
    return page, status


def _read_layers(records: CadenceRecords) -> Mapping[int, JsonObject]:
    """Return the layers by id, each in words: with the name of the other pages, or with its own."""
    return {
        layer["id"]: {**layer, "words": _name_layer(**layer)} for layer in records.list_layers()
    }


def _name_layer(**layer: Any) -> str:
    has_own_name = layer["name"] != f"Layer {layer['id']}"
    return f"{layer['id']} · {layer['name']}" if has_own_name else name_layer(layer["id"])
