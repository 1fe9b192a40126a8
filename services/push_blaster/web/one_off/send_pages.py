"""The pages on which one push is written, tried by a dry run, and then sent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from chassis.bearer_auth import Role, asks_for, caller_only_simulates
from chassis.clock import utc_now
from chassis.csv_reader import CsvError
from chassis.postgres import Database
from chassis.problems import flatten_messages
from push_blaster.adapters.audiences.frozen_audiences import read_batch
from push_blaster.adapters.automations.content_schema import (
    read_valid_content,
)
from push_blaster.adapters.executions.execution_view import (
    select_execution,
    select_execution_by_key,
    select_snapshot,
)
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.cadence.names import LAYERS, name_layer
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.audiences.look_at_upload import look_at_upload
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.one_off.check_ad_hoc import BadAdHocPushError
from push_blaster.use_cases.one_off.schedule_push import (
    PushState,
    ScheduledPushes,
    ScheduledPushStatus,
)
from push_blaster.use_cases.one_off.send_ad_hoc import (
    is_ad_hoc_dry_run,
    key_of_live,
    send_ad_hoc,
)
from push_blaster.use_cases.one_off.send_later import find_scheduled, send_now
from push_blaster.web.access.audit import only_reads
from push_blaster.web.automations.automation_samples import ROWS, Sample, fill_sample
from push_blaster.web.automations.form_fields import read_number
from push_blaster.web.executions.execution_card import Card, make_cards
from push_blaster.web.frame.csrf import CSRF_FIELD
from push_blaster.web.frame.drafts import DRAFT_FIELD, only_shows
from push_blaster.web.frame.frame import form_key, page_routes
from push_blaster.web.frame.page_times import reader_zone
from push_blaster.web.one_off.content_form import place_of, read_push_form, show_content
from push_blaster.web.one_off.send_push import MAX_FILE, SendPushSchema, read_request

BLANK: Final = {"layerId": 3}


def send_pages(context: WebContext) -> Blueprint:
    """Return the pages about sending one push."""
    pages = page_routes("send")

    @pages.url_value_preprocessor
    def let_files_in(*_: object) -> None:
        request.max_content_length = MAX_FILE  # before the form is read for its CSRF token

    _add_form(pages, context)
    _add_result(pages, context)
    return pages


def _add_form(pages: Blueprint, context: WebContext) -> None:
    @pages.get("/send")
    @asks_for(Role.OPERATOR)
    def write() -> ResponseReturnValue:
        """Show the form; with `like`, filled in from an earlier push."""
        like = request.args.get("like")
        return _render_form(context, _read_like(context.database, like) if like else BLANK)

    @pages.post("/send")
    @asks_for(Role.OPERATOR, simulates=True)
    def try_out() -> ResponseReturnValue:
        """Start the dry run; a form that is sent twice starts one."""
        form = _read_form()
        looks = request.form.get("then") == "look"
        if only_shows() or looks:
            return _render_form(context, form, look=_look(form) if looks else None)
        try:
            asked = read_request(SendPushSchema().load(form))
            execution = send_ad_hoc(
                context,
                asked,
                Mode.REAL_DRY_RUN,
                form_key() if request.form.get("once") else None,
                utc_now(),
                is_simulated=caller_only_simulates(),
            )
        except BadAdHocPushError as error:
            return _render_form(context, form, {place_of(error.field): error.text})
        except ValidationError as error:
            lines = [line.partition(": ") for line in flatten_messages(error.messages)]
            return _render_form(context, form, {place_of(name): text for name, _, text in lines})
        flash("The dry run has started.", "success")
        return redirect(url_for(".result", execution_id=execution.id), 303)

    @pages.post("/send/preview")
    @only_reads
    @asks_for(Role.OPERATOR)
    def preview() -> ResponseReturnValue:
        """Return a sample of the message; nothing is started."""
        return render_template("parts/send_preview.html", sample=_sample(_read_form()))

    @pages.post("/send/file")
    @only_reads
    @asks_for(Role.OPERATOR)
    def look() -> ResponseReturnValue:
        """Return what the chosen file holds; nothing is started, and nothing is stored."""
        return render_template("parts/upload_look.html", **_look(_read_form()))


def _add_result(pages: Blueprint, context: WebContext) -> None:
    @pages.get("/send/<execution_id>")
    @asks_for(Role.OPERATOR)
    def result(execution_id: str) -> ResponseReturnValue:
        """Show the result of the dry run; other executions have a page of their own."""
        with context.database.transaction() as connection:
            if not is_ad_hoc_dry_run(select_execution(connection, execution_id)):
                return redirect(url_for("pages_executions.show", execution_id=execution_id), 303)
        return render_result(context, execution_id)

    @pages.get("/live/send/<execution_id>")
    @asks_for(Role.OPERATOR)
    def live(execution_id: str) -> ResponseReturnValue:
        """Return the part of the page that changes."""
        return render_result(context, execution_id, page="parts/send_result.html")

    @pages.post("/send/<execution_id>")
    @asks_for(Role.OPERATOR, simulates=True)
    def send(execution_id: str) -> ResponseReturnValue:
        """Send the push of the dry run, once."""
        execution = send_now(
            ScheduledPushes(context, None),
            execution_id,
            utc_now(),
            is_simulated=caller_only_simulates(),
        )
        flash("The push is being sent.", "success")
        return redirect(url_for("pages_executions.show", execution_id=execution.id), 303)


def render_result(
    context: WebContext,
    execution_id: str,
    form: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    page: str = "send_result.html",
) -> str:
    """Return the page of a dry run, with the form that schedules its push."""
    tried = _find_tried(context, execution_id)
    usual = {"at": "09:00", "windowMinutes": "30", "timezone": reader_zone()}
    return render_template(page, **tried._asdict(), form=form or usual, errors=errors or {})


def _render_form(
    context: WebContext,
    form: Mapping[str, Any],
    errors: Mapping[str, str] | None = None,
    *,
    look: Mapping[str, object] | None = None,
) -> ResponseReturnValue:
    found = ScheduledPushes(context, None).find_all()
    page = render_template(
        "send.html",
        scheduled=[one for one in found if one.state is PushState.SCHEDULED],
        form=form,
        errors=errors or {},
        layers={layer: name_layer(layer) for layer in LAYERS},
        sample=_sample(form),
        max_users=context.limits.max_manual_users,
        **show_content(form),
        **(look or {}),
    )
    return page, 400 if errors else 200


def _read_form() -> dict[str, Any]:
    """Return the fields of the form, those of the content under their names in documents."""
    left_out = {CSRF_FIELD, DRAFT_FIELD, "then", "once"}
    form = read_push_form(request.form)
    return {name: value for name, value in form.items() if name not in left_out}


def _read_like(database: Database, execution_id: str) -> dict[str, object]:
    with database.transaction() as connection:
        document = select_snapshot(connection, execution_id)
    push = document["pushSequence"][0]
    users = (document.get("audienceCriteria") or {}).get("manualUserIds") or []
    description = document.get("description") or ""
    return {**push, "userIds": "\n".join(users), "audienceDescription": description}


def _look(form: Mapping[str, Any]) -> Mapping[str, object]:
    """Return what the file of the form holds, or why it cannot be read, for the template."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return {"look_fault": "Choose a CSV file first."}
    try:
        found = look_at_upload(file.stream, file.filename)
    except CsvError as error:
        return {"look_fault": str(error)}
    push = _read_push(form)
    rows = found.first.values()
    texts = [fill_sample(push, [row], found.columns).looks[0] for row in rows] if push else []
    return {"look": found, "texts": texts}


def _sample(form: Mapping[str, Any]) -> Sample | None:
    """Return a sample of the message; None before it has a title."""
    push = _read_push(form)
    return fill_sample(push, [], ()) if push else None


def _read_push(form: Mapping[str, Any]) -> Push | None:
    """Return the push of the form; None before it has a title."""
    if not form.get("title"):
        return None
    layer = read_number(str(form.get("layerId", "")))
    return Push(
        id="",
        title=form["title"],
        body=form.get("body", ""),
        deep_link=form.get("deepLink", ""),
        content=read_valid_content(form),
        layer_id=layer if isinstance(layer, int) else 0,
    )


class _TriedPush(NamedTuple):
    """A dry run, the send of its push, if there was or will be one, and a sample of its message."""

    card: Card
    execution: Execution
    sent: Card | None
    later: ScheduledPushStatus | None
    sample: Sample


def _find_tried(context: WebContext, execution_id: str) -> _TriedPush:
    with context.database.transaction() as connection:
        execution = select_execution(connection, execution_id)
        live = select_execution_by_key(connection, key_of_live(execution_id))
        card, *sent = make_cards(connection, [execution, live] if live else [execution])
    sample = _read_sample(context.data_folder, execution)
    later = find_scheduled(ScheduledPushes(context, None), execution_id)
    return _TriedPush(card, execution, sent[0] if sent else None, later, sample)


def _read_sample(data_folder: Path, execution: Execution) -> Sample:
    """Return the message as the first users of the frozen audience would get it."""
    audience = execution.pushes[0].audience
    path = data_folder / audience.file if audience else None
    rows = read_batch(path, 0, ROWS) if path and path.exists() else []
    columns = audience.columns if audience else ()
    return fill_sample(execution.automation.pushes[0], [row.variables for row in rows], columns)
