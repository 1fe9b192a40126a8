"""The pages about alerts: their destinations, one destination, its form, a test message."""

from collections.abc import Mapping
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chassis.bearer_auth import Role, asks_for, caller_name
from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.operations.alert_deliveries import select_alert_deliveries
from push_blaster.adapters.operations.destination_table import select_destinations
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.destination import (
    FINDING,
    Destination,
    DestinationKind,
    DestinationOrder,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.operations.manage_destinations import (
    OVERLAP,
    BadDestinationError,
    DestinationChange,
    StaleDestinationError,
    change_destination,
    create_destination,
    find_destination,
    remove_destination,
    rotate_destination_secret,
    switch_destination,
)
from push_blaster.web.frame.conflicts import DRAWN, show_conflict
from push_blaster.web.frame.frame import form_key, page_routes
from push_blaster.web.frame.merging import Merge
from push_blaster.web.operations.alert_form import (
    LABELS,
    as_order,
    draw_order,
    merge_order,
    read_order,
)
from push_blaster.web.operations.alerts import SHOWN, send_test_message

#: The kinds of alerts, in people's words.
EVENTS: Final = {
    "failure": "Failed",
    "cancelled": "Cancelled or stopped",
    "fail_open": "Went out without the cap check",
    "missed": "Missed its time",
    "skipped": "Skipped",
    FINDING: "A safeguard found something",
    "start": "Began",
    "completion": "Completed",
}
KINDS: Final = {
    DestinationKind.WEBHOOK: "Webhook",
    DestinationKind.SLACK: "Slack",
    DestinationKind.EMAIL: "E-mail",
}


def alert_pages(context: WebContext) -> Blueprint:
    """Return the pages about alerts."""
    pages = page_routes("alerts")
    _add_views(pages, context)
    _add_forms(pages, context)
    _add_actions(pages, context)
    return pages


def _add_views(pages: Blueprint, context: WebContext) -> None:
    database, files = context.database, context.files

    @pages.get("/alerts")
    @asks_for(Role.OPERATOR)
    def list_all() -> ResponseReturnValue:
        """List the destinations."""
        with database.transaction() as connection:
            found = select_destinations(connection)
        return render_template(
            "alerts.html",
            destinations=found,
            kinds=KINDS,
            events=EVENTS,
            has_mail=context.alerts.mail is not None,
            has_links=context.alerts.public_url is not None,
        )

    @pages.get("/alerts/<uuid:destination_id>")
    @asks_for(Role.OPERATOR)
    def show(destination_id: UUID) -> ResponseReturnValue:
        """Show one destination, its form, and its last alerts."""
        return _render_one(database, files, str(destination_id))

    @pages.get("/alerts/new/<any(webhook,slack,email):kind>")
    @asks_for(Role.ADMIN)
    def write(kind: str) -> ResponseReturnValue:
        """Show the form of a new destination."""
        return _render_form(files, DestinationKind(kind))


def _add_forms(pages: Blueprint, context: WebContext) -> None:
    database, files = context.database, context.files

    @pages.post("/alerts/new/<any(webhook,slack,email):kind>")
    def create(kind: str) -> ResponseReturnValue:
        """Create a destination; its page shows the secret once."""
        order = read_order(DestinationKind(kind))
        new_id = str(uuid5(NAMESPACE_URL, form_key()))
        try:
            made = create_destination(
                database, context.alerts, new_id, order, (caller_name(), utc_now())
            )
        except BadDestinationError as error:
            return _render_form(files, order.kind, order, {error.field: error.message}), 400
        flash(f"{made.name} is created.", "success")
        return _render_one(database, files, made.id, secret=made.secret)

    @pages.post("/alerts/<uuid:destination_id>")
    def save(destination_id: UUID) -> ResponseReturnValue:
        """Save what the form of a destination has changed."""
        with database.transaction() as connection:
            found = select_destinations(connection, str(destination_id))
        if not found:
            return _offer_new(files)
        try:
            return _save(context, found[0])
        except StaleDestinationError:  # somebody has saved in this moment
            return save(destination_id)


def _save(context: WebContext, current: Destination) -> ResponseReturnValue:
    database, files = context.database, context.files
    merged = merge_order(current)
    if merged.conflicts:
        return _ask_whose(merged, current)
    order = as_order(merged.document, current)
    change = DestinationChange(order, version=current.version)
    try:
        change_destination(database, context.alerts, current.id, change, utc_now())
    except BadDestinationError as error:
        faults = {error.field: error.message}
        return _render_one(database, files, current.id, order, faults), 400
    flash("Saved.", "success")
    if merged.theirs:
        kept = ", ".join(dict.fromkeys(_describe(one.path) for one in merged.theirs))
        flash(f"Somebody else saved meanwhile, too. Kept as saved: {kept}.", "warning")
    return redirect(url_for(".show", destination_id=current.id), 303)


def _add_actions(pages: Blueprint, context: WebContext) -> None:
    database, files = context.database, context.files

    @pages.post("/alerts/<uuid:destination_id>/test")
    @asks_for(Role.OPERATOR)
    def test(destination_id: UUID) -> ResponseReturnValue:
        """Send a test message, and say what the destination answered."""
        tried = send_test_message(database, context.alerts, destination_id)
        result = "It took the test message" if tried.taken else "It did not take the test message"
        flash(f"{result}: {tried.answer}.", "success" if tried.taken else "error")
        return redirect(url_for(".show", destination_id=destination_id), 303)

    @pages.post("/alerts/<uuid:destination_id>/<any(on,off):state>")
    def switch(destination_id: UUID, state: str) -> ResponseReturnValue:
        """Switch a destination on or off."""
        one = switch_destination(database, str(destination_id), utc_now(), is_on=state == "on")
        flash(f"{one.name} is switched {state}.", "success")
        return redirect(url_for(".show", destination_id=destination_id), 303)

    @pages.get("/alerts/<uuid:destination_id>/<any(rotate,delete):action>")
    @asks_for(Role.ADMIN)
    def confirm(destination_id: UUID, action: str) -> ResponseReturnValue:
        """Ask for confirmation."""
        with database.transaction() as connection:
            one = find_destination(connection, str(destination_id))
        return render_template("alert_confirm.html", one=one, action=action, overlap=OVERLAP)

    @pages.post("/alerts/<uuid:destination_id>/rotate")
    def rotate(destination_id: UUID) -> ResponseReturnValue:
        """Give a webhook a new secret, and show it; a form sent twice gives it one."""
        mark = request.form.get("mark")
        one = rotate_destination_secret(database, str(destination_id), OVERLAP, utc_now(), mark)
        return _render_one(database, files, one.id, secret=one.secret)

    @pages.post("/alerts/<uuid:destination_id>/delete")
    def delete(destination_id: UUID) -> ResponseReturnValue:
        """Delete a destination."""
        remove_destination(database, str(destination_id))
        flash("The destination is deleted. It gets no more alerts.", "success")
        return redirect(url_for(".list_all"), 303)


def _offer_new(files: AutomationFiles) -> ResponseReturnValue:
    """Offer what somebody typed into the form of a deleted destination as a new one."""
    given = request.form.get("kind", "")
    kind = DestinationKind(given) if given in [*DestinationKind] else DestinationKind.WEBHOOK
    flash(
        "Somebody has deleted this destination meanwhile. What you typed is here: create a new one "
        "of it.",
        "warning",
    )
    return _render_form(files, kind, read_order(kind)), 409


def _ask_whose(merged: Merge, current: Destination) -> ResponseReturnValue:
    return show_conflict(
        merged,
        noun=current.name,
        version=current.version,
        current_page=url_for(".show", destination_id=current.id),
        describe=lambda one: _describe(one.path),
    )


def _describe(path: str) -> str:
    part, _, name = path.partition(".")
    return LABELS.get(part) or EVENTS.get(name) or name or "Tests and dry runs, too"


def _render_form(
    files: AutomationFiles,
    kind: DestinationKind,
    order: DestinationOrder | None = None,
    faults: Mapping[str, str] | None = None,
) -> str:
    usual = DestinationOrder(name="", kind=kind, address="")
    return render_template("alert_form.html", **_form(files, order or usual, faults))


def _render_one(
    database: Database,
    files: AutomationFiles,
    destination_id: str,
    order: DestinationOrder | None = None,
    faults: Mapping[str, str] | None = None,
    **shown: object,
) -> str:
    with database.transaction() as connection:
        one = find_destination(connection, destination_id)
        deliveries = select_alert_deliveries(connection, destination_id, SHOWN)
    form = _form(files, order or one, faults)
    return render_template(
        "alert.html", **form, one=one, kinds=KINDS, deliveries=deliveries, **shown
    )


def _form(
    files: AutomationFiles, order: DestinationOrder, faults: Mapping[str, str] | None
) -> dict[str, object]:
    """Return what the fields of a destination need; an automation that is gone stays chosen."""
    known = {id_: one.automation.name for id_, one in files.read_all().items()}
    gone = {id_: id_ for id_ in order.automations if id_ not in known}
    return {
        "order": order,
        "kind": order.kind,
        "events": EVENTS,
        "automations": sorted((known | gone).items(), key=lambda one: one[1].casefold()),
        "errors": faults or {},
        "with_tests": set(order.modes) > {Mode.LIVE},
        "drawn": request.form.get(DRAWN) or draw_order(order),
    }
