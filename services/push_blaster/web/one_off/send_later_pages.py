"""The pages that schedule the push of a dry run, change it, and cancel it."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, ValidationError, fields, pre_load, validate

from chassis.bearer_auth import Role, asks_for
from chassis.clock import utc_now
from chassis.instants import is_near
from chassis.problems import flatten_messages
from chassis.schemas import CamelSchema
from push_blaster.adapters.automations.content_schema import (
    CONTENT_FIELDS,
    ContentFields,
    split_content,
)
from push_blaster.adapters.automations.field_checks import is_zone
from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush, write_settings
from push_blaster.domain.cadence.names import LAYERS, name_layer
from push_blaster.domain.zones import place_in_zone
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.one_off.schedule_push import (
    BadScheduledPushError,
    PushState,
    ScheduledPushes,
    ScheduledPushStatus,
)
from push_blaster.use_cases.one_off.send_later import (
    SendTime,
    change_push,
    schedule_what_was_tried,
)
from push_blaster.web.frame.frame import page_routes
from push_blaster.web.one_off.content_form import place_of, read_push_form, show_content
from push_blaster.web.one_off.send_pages import render_result


class LaterSchema(CamelSchema):
    """The form of a send time, with the window and the test before it."""

    day = fields.Date(required=True)
    at = fields.Time(required=True)
    timezone = fields.String(required=True, validate=is_zone)
    window_minutes = fields.Float(load_default=30, validate=validate.Range(min=0, max=240))
    testers = fields.List(fields.UUID(error_messages={"invalid_uuid": "No user id (a UUID)."}))
    needs_approval = fields.Boolean(load_default=False)

    @pre_load
    def _fit(self, data: Mapping[str, str], **_: object) -> Mapping[str, object]:
        """Take an empty field as missing, and the test users as one text."""
        given = {name: text.strip() for name, text in data.items() if text.strip()}
        testers = [one for one in re.split(r"[\s,;]+", given.get("testers", "")) if one]
        return {**given, "testers": testers}


class PushTextsSchema(ContentFields, CamelSchema):
    """The form of the texts and the content of a push."""

    title = fields.String(required=True, validate=validate.Length(min=1, max=1_000))
    body = fields.String(required=True, validate=validate.Length(min=1, max=4_000))
    deep_link = fields.String(load_default="", validate=validate.Length(max=2_000))
    layer_id = fields.Integer(required=True, validate=validate.Range(1, 5))


class _Later(NamedTuple):
    """A send time, and what to say about it: the effect of a clock change."""

    when: SendTime
    remark: str | None


def send_later_pages(context: WebContext) -> Blueprint:
    """Return the pages about scheduled pushes."""
    pages = page_routes("send_later")
    pushes = ScheduledPushes(context, None)
    _add_schedule(pages, context, pushes)
    _add_changes(pages, pushes)
    return pages


def _add_schedule(pages: Blueprint, context: WebContext, pushes: ScheduledPushes) -> None:
    @pages.post("/send/<execution_id>/later")
    @asks_for(Role.OPERATOR)
    def schedule(execution_id: str) -> ResponseReturnValue:
        """Schedule the push of the dry run, once."""
        try:
            later = _read_later()
            found = schedule_what_was_tried(pushes, execution_id, later.when, utc_now())
        except (ValidationError, BadScheduledPushError) as error:
            errors = _name_fields(error)
            return render_result(context, execution_id, request.form, errors), 400
        _flash_scheduled(pushes, found, later.remark)
        return redirect(url_for(".show", push_id=found.push.id), 303)


def _add_changes(pages: Blueprint, pushes: ScheduledPushes) -> None:
    @pages.get("/send/scheduled/<push_id>")
    @asks_for(Role.OPERATOR)
    def show(push_id: str) -> ResponseReturnValue:
        """Show a scheduled push, and the form that changes it."""
        found = pushes.find(push_id)
        return _render(found, _write_form(found.push))

    @pages.post("/send/scheduled/<push_id>")
    @asks_for(Role.OPERATOR)
    def change(push_id: str) -> ResponseReturnValue:
        """Change it, and schedule it again if it was cancelled."""
        try:
            texts = _read_texts(pushes.find(push_id).push)
            later = _read_later()
            found = change_push(pushes, push_id, texts, later.when, utc_now())
        except (ValidationError, BadScheduledPushError) as error:
            form = read_push_form(request.form)
            return _render(pushes.find(push_id), form, _name_fields(error)), 400
        _flash_scheduled(pushes, found, later.remark)
        return redirect(url_for(".show", push_id=push_id), 303)

    @pages.post("/send/scheduled/<push_id>/cancel")
    @asks_for(Role.OPERATOR)
    def cancel(push_id: str) -> ResponseReturnValue:
        """Cancel it before it is live; safe to repeat."""
        if pushes.find(push_id).state is not PushState.CANCELLED:
            pushes.change(push_id, {}, PushState.CANCELLED, utc_now())
        flash("Cancelled. Nothing is sent.", "success")
        return redirect(url_for(".show", push_id=push_id), 303)


def _render(
    found: ScheduledPushStatus, form: Mapping[str, Any], errors: Mapping[str, str] | None = None
) -> str:
    return render_template(
        "send_later.html",
        found=found,
        form=form,
        errors=errors or {},
        layers={layer: name_layer(layer) for layer in LAYERS},
        **show_content(form),
    )


def _read_texts(before: ScheduledPush) -> dict[str, Any]:
    """Return the changes of the texts and the content; an empty field of the content clears it."""
    form = read_push_form(request.form, before.message)
    given = {
        name: value for name, value in form.items() if not isinstance(value, str) or value.strip()
    }
    texts, message = split_content(PushTextsSchema().load(given, unknown=EXCLUDE))
    return {**texts, "message": {**dict.fromkeys(CONTENT_FIELDS.values()), **message}}


def _read_later() -> _Later:
    """Return the send time of the form; ValidationError names the field."""
    given = LaterSchema().load(dict(request.form), unknown=EXCLUDE)
    slot = place_in_zone(_read_wall_time(given["day"], given["at"]), ZoneInfo(given["timezone"]))
    if slot.at <= utc_now():
        raise ValidationError({"day": ["This time is in the past; choose a later one."]})
    window = timedelta(minutes=given["window_minutes"])
    testers = [str(one) for one in given["testers"]]
    settings = write_settings(window, testers, needs_approval=given["needs_approval"])
    when = SendTime(at=slot.at, timezone=given["timezone"], settings=settings)
    return _Later(when, slot.remark)


def _read_wall_time(day: date, at: time) -> datetime:
    if not is_near(day):
        raise ValidationError({"day": ["Choose a day of the next years."]})
    return datetime.combine(day, at.replace(tzinfo=None, microsecond=0))


def _name_fields(error: ValidationError | BadScheduledPushError) -> dict[str, str]:
    if isinstance(error, BadScheduledPushError):
        return {"title": str(error)}
    lines = [line.partition(": ") for line in flatten_messages(error.messages)]
    return {place_of(re.sub(r"[.\[].*", "", name)): text for name, _, text in lines}


def _write_form(push: ScheduledPush) -> Mapping[str, Any]:
    """Return the fields of the form as they are now."""
    local = push.scheduled_for.astimezone(ZoneInfo(push.timezone))
    settings = push.settings or {}
    return {
        "title": push.title,
        "body": push.body,
        "deepLink": push.deep_link,
        "layerId": push.layer_id,
        **push.message,
        "day": f"{local:%Y-%m-%d}",
        "at": f"{local:%H:%M}" if not local.second else f"{local:%H:%M:%S}",
        "timezone": push.timezone,
        "windowMinutes": settings.get("cancellationWindowMinutes", 30),
        "testers": "\n".join(settings.get("testUserIds") or []),
        "needsApproval": settings.get("requireApproval", False),
    }


def _flash_scheduled(
    pushes: ScheduledPushes, found: ScheduledPushStatus, remark: str | None
) -> None:
    earliest = pushes.earliest_live(found.push, utc_now())
    local = earliest.astimezone(ZoneInfo(found.push.timezone))
    sentences = [f"Scheduled for {local:%a} {local.day} {local:%b %Y, %H:%M %Z}."]
    if earliest > found.push.scheduled_for:
        sentences.append("Its cancellation window ends no sooner.")
    flash(" ".join([*sentences, *([remark] if remark else [])]), "success")
