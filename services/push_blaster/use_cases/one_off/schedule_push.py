"""Scheduled pushes: automations that send one push once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from chassis.postgres import Connection
from push_blaster.adapters.audiences.uploads import read_stored_columns
from push_blaster.adapters.automations.automation_document import is_on, read_draft
from push_blaster.adapters.automations.document_files import DocumentNotFoundError
from push_blaster.adapters.executions.execution_history import RunOutcome, select_runs
from push_blaster.adapters.one_off.scheduled_push_document import (
    ScheduledPush,
    is_scheduled_push,
    read_scheduled_push,
    write_document,
    write_fields,
)
from push_blaster.adapters.schedule.schedule_marks import select_generations
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.delivery.push_template import compile_push, find_faults_as_written
from push_blaster.domain.delivery.template import MalformedPlaceholderError
from push_blaster.domain.executions.execution import execution_id
from push_blaster.domain.executions.phase import BEFORE_LIVE, ENDED
from push_blaster.use_cases.audiences.fit_parameters import check_parameters
from push_blaster.use_cases.automations.change_automation import (
    create_automation,
    delete_automation,
    edit_automation,
)
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.executions.stop_execution import cancel_pending


class PushState(StrEnum):
    """The state of a scheduled push."""

    SCHEDULED = "scheduled"
    SENT = "sent"
    CANCELLED = "cancelled"


_STATUS: Final[Mapping[PushState, Mapping[str, Any]]] = {
    PushState.SCHEDULED: {"status": "active", "isActive": True},
    PushState.CANCELLED: {"status": "cancelled", "isActive": False},
}

NO_SOURCE: Final = (
    "audienceCriteria finds no users: name users in manualUserIds, or a script of GET /api/scripts "
    "in customScript.scriptId. Filters need a script of yours that uses them; name "
    "it to the installation (PUSH_FILTER_SCRIPT)."
)


class BadScheduledPushError(Exception):
    """The push cannot be scheduled; the message names the field."""


class AlreadySentError(Exception):
    """The push has been sent and cannot be changed any more."""


class PushHasBegunError(Exception):
    """The execution of the push has begun; it can only be cancelled."""


@dataclass(frozen=True, slots=True)
class ScheduledPushStatus:
    """A scheduled push, its state, and its execution, if it has one."""

    push: ScheduledPush
    state: PushState
    run: RunOutcome | None

    @property
    def is_running(self) -> bool:
        """Whether its execution is running."""
        return self.run is not None and self.run.phase not in ENDED


@dataclass(frozen=True, slots=True)
class ScheduledPushes:
    """The scheduled pushes among the automations of a folder.

    Shape: `filter_script` is the id of the script that finds the users of filters, or None.
    """

    context: WebContext
    filter_script: str | None

    def find_all(self) -> list[ScheduledPushStatus]:
        """Return every scheduled push, the earliest first."""
        documents = [d for d in self.context.files.list_all().documents if is_scheduled_push(d)]
        return sorted(self._judge(documents), key=lambda one: one.push.scheduled_for)

    def find(self, push_id: str) -> ScheduledPushStatus:
        """Return one scheduled push; DocumentNotFoundError, also for other automations."""
        document = self.context.files.load(push_id)
        if not is_scheduled_push(document):
            raise DocumentNotFoundError(f"There is no scheduled push {push_id!r}.")
        (standing,) = self._judge([document])
        return standing

    def schedule(self, push: ScheduledPush, now: datetime) -> ScheduledPushStatus:
        """Write a new push; BadScheduledPushError, ScriptNotFoundError, DocumentExistsError."""
        complete = self._complete(push, now)
        document = {
            **write_document(complete, self.context.limits.min_window),
            **_STATUS[PushState.SCHEDULED],
        }
        create_automation(self.context.files, document, now)
        return self.find(push.id)

    def change(
        self, push_id: str, changes: Mapping[str, Any], state: PushState | None, now: datetime
    ) -> ScheduledPushStatus:
        """Change fields of the push, and schedule or cancel it, if `state` says so.

        Raises: AlreadySentError, PushHasBegunError, BadScheduledPushError, ScriptNotFoundError.
        """
        before = self.find(push_id)
        if before.state is PushState.SENT:
            return _stay_sent(before, changes, state)
        if state is PushState.SENT:
            raise BadScheduledPushError("status: only the system sets 'sent'; leave it out.")
        if before.is_running:
            return self._cancel_running(before, changes, state, now)
        message = {**before.push.message, **changes.get("message", {})}
        push = replace(before.push, **{**changes, "message": message})
        wanted = state or before.state
        if wanted is PushState.SCHEDULED:
            push = self._complete(push, now)
        self._save(push, wanted, now)
        return self.find(push_id)

    def delete(self, push_id: str, now: datetime) -> None:
        """Delete the push, and cancel its execution; AlreadySentError, PushHasBegunError."""
        before = self.find(push_id)
        if before.state is PushState.SENT:
            raise AlreadySentError(f"The push {push_id!r} has been sent; it stays on record.")
        _check_not_live(before)
        delete_automation(self.context.files, self.context.database, push_id, None, now)

    def earliest_live(self, push: ScheduledPush, now: datetime) -> datetime:
        """Return the earliest time of the push, after a whole cancellation window."""
        return max(push.scheduled_for, now + self.context.limits.min_window)

    def _judge(self, documents: Sequence[Mapping[str, Any]]) -> list[ScheduledPushStatus]:
        pushes = [read_scheduled_push(document) for document in documents]
        with self.context.database.transaction() as connection:
            ids = _find_executions(connection, pushes)
            runs = select_runs(connection, ids)
        return [
            ScheduledPushStatus(push, _find_state(document, run), run)
            for document, push, id_ in zip(documents, pushes, ids, strict=True)
            for run in [runs.get(id_)]
        ]

    def _complete(self, push: ScheduledPush, now: datetime) -> ScheduledPush:
        """Return the push with a source for its audience, after all checks."""
        if push.scheduled_for <= now:
            raise BadScheduledPushError("scheduledFor lies in the past; choose an instant to come.")
        with self.context.database.transaction() as connection:
            if select_runs(connection, _find_executions(connection, [push])):
                raise PushHasBegunError(
                    "The system has decided about this scheduledFor; choose another instant."
                )
        complete = replace(push, criteria=choose_source(push.criteria, self.filter_script))
        automation = read_draft(write_document(complete, self.context.limits.min_window), now)
        _check_texts(automation, self.context)
        check_parameters(self.context.scripts, automation)
        return complete

    def _cancel_running(
        self,
        before: ScheduledPushStatus,
        changes: Mapping[str, Any],
        state: PushState | None,
        now: datetime,
    ) -> ScheduledPushStatus:
        _check_not_live(before)
        if changes or state is not PushState.CANCELLED:
            raise PushHasBegunError(
                "Its execution has begun and goes out as it is. To change it, set the status "
                "'cancelled' first, then schedule it for another instant."
            )
        self._save(before.push, PushState.CANCELLED, now)
        return self.find(before.push.id)

    def _save(self, push: ScheduledPush, state: PushState, now: datetime) -> None:
        fields = {**write_fields(push), **_STATUS[state]}
        database = self.context.database
        edit_automation(self.context.files, database, push.id, fields, now)
        if cancel_pending(database, push.id, "The scheduled push was changed.", now):
            raise PushHasBegunError(
                "Its execution began at the moment of the change, and is cancelled; schedule it "
                "for another instant."
            )


def choose_source(criteria: Mapping[str, Any], filter_script: str | None) -> Mapping[str, Any]:
    """Return the criteria with the source of the audience; a script gets filters and data packs.

    Raises: BadScheduledPushError if there is no source.
    """
    if criteria.get("manualUserIds") or criteria.get("uploadedFile"):
        return dict(criteria)
    script = criteria.get("customScript")
    if not script and criteria.get("filters") and filter_script:
        script = {"scriptId": filter_script}
    if not script:
        raise BadScheduledPushError(NO_SOURCE)
    asked = {**(criteria.get("filters") or {}), "dataPacks": criteria.get("dataPacks")}
    texts = {name: _text(value) for name, value in asked.items() if value not in (None, "")}
    given = script.get("parameters") or {}
    return {**criteria, "customScript": {**script, "parameters": {**texts, **given}}}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _find_executions(connection: Connection, pushes: Sequence[ScheduledPush]) -> list[str]:
    """Return the ids that the executions of pushes have, or will have."""
    generations = select_generations(connection, [push.id for push in pushes])
    return [
        execution_id(push.id, push.scheduled_for, generation=generations[push.id])
        for push in pushes
    ]


def _find_state(document: Mapping[str, Any], run: RunOutcome | None) -> PushState:
    if run and run.has_sent:
        return PushState.SENT
    if (run and run.phase in ENDED) or not is_on(document):
        return PushState.CANCELLED
    return PushState.SCHEDULED


def _stay_sent(
    before: ScheduledPushStatus, changes: Mapping[str, Any], state: PushState | None
) -> ScheduledPushStatus:
    if changes or state is not PushState.SENT:
        raise AlreadySentError(
            f"The push {before.push.id!r} has been sent; it cannot be changed any more."
        )
    return before


def _check_not_live(standing: ScheduledPushStatus) -> None:
    if standing.run and standing.is_running and standing.run.phase not in BEFORE_LIVE:
        raise PushHasBegunError(
            f"It is being sent. To stop it: POST /api/executions/{standing.run.id}/stop."
        )


def _check_texts(automation: Automation, context: WebContext) -> None:
    (push,) = automation.pushes
    columns: Sequence[str] | None = () if automation.manual_user_ids else None
    if automation.upload:
        columns = read_stored_columns(context.data_folder, automation.upload)
    try:
        compiled = compile_push(push)
    except MalformedPlaceholderError as error:
        raise BadScheduledPushError(str(error)) from error
    unknown = [] if columns is None else compiled.find_unknown(columns)
    if unknown:
        source = (
            f"the uploaded file has only the columns {', '.join(columns or ()) or 'user_id'}"
            if automation.upload
            else "users of manualUserIds have no variables; let a script write the audience"
        )
        raise BadScheduledPushError(
            f"{', '.join(f'[[var:{name}]]' for name in unknown)}: {source}, or take the "
            "placeholder out."
        )
    for name, fault in find_faults_as_written(context.limits.links, push):
        raise BadScheduledPushError(f"{name} {fault}.")
