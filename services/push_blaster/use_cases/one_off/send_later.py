"""Schedule the push of a dry run: at its time an engine sends it like any automation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from chassis.postgres import Database
from push_blaster.adapters.access.idempotency_keys import (
    KeyUse,
    insert_key,
    lock_decision,
    select_request,
)
from push_blaster.adapters.automations.content_schema import pick_content
from push_blaster.adapters.automations.document_files import DocumentNotFoundError
from push_blaster.adapters.executions.execution_view import (
    select_execution,
    select_execution_by_key,
    select_snapshot,
)
from push_blaster.adapters.one_off.scheduled_push_document import ScheduledPush
from push_blaster.domain.executions.execution import Execution
from push_blaster.use_cases.one_off.schedule_push import (
    AlreadySentError,
    PushState,
    ScheduledPushes,
    ScheduledPushStatus,
)
from push_blaster.use_cases.one_off.send_ad_hoc import (
    check_dry_run,
    key_of_live,
    send_what_was_tried,
)

#: Where the first decision about the push of a dry run is recorded: sent now, or scheduled.
_DECISIONS: Final = "the push of a dry run"
#: How long a decision waits for another one about the same push.
_WAITS: Final = timedelta(seconds=5)
_NOW: Final = "now"
_LATER: Final = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTime:
    """When a push is sent, in which zone people think of it, and with which settings."""

    at: datetime
    timezone: str
    settings: Mapping[str, Any]


def schedule_what_was_tried(
    pushes: ScheduledPushes, dry_run_id: str, when: SendTime, now: datetime
) -> ScheduledPushStatus:
    """Schedule the push of a dry run; repeated calls schedule it once.

    Raises: what ScheduledPushes.schedule raises, ExecutionNotFoundError, NoDryRunError,
    AlreadySentError.
    """
    earlier = find_scheduled(pushes, dry_run_id)
    if earlier:
        return earlier
    database = pushes.context.database
    with database.transaction() as connection:
        check_dry_run(select_execution(connection, dry_run_id))
        document = select_snapshot(connection, dry_run_id)
    push = document["pushSequence"][0]
    wanted = ScheduledPush(
        id=_id_of(dry_run_id),
        scheduled_for=when.at,
        title=push["title"],
        body=push["body"],
        layer_id=push["layerId"],
        deep_link=push.get("deepLink") or "",
        message=pick_content(push),
        criteria=document["audienceCriteria"],
        audience_description=document.get("description") or "",
        timezone=when.timezone,
        settings=when.settings,
    )
    with deciding(database, dry_run_id, _LATER, now):
        return find_scheduled(pushes, dry_run_id) or pushes.schedule(wanted, now)


def send_now(
    pushes: ScheduledPushes, dry_run_id: str, now: datetime, *, is_simulated: bool
) -> Execution:
    """Send the push of a dry run at once, unless it is scheduled; repeated calls send it once.

    Raises: what send_what_was_tried raises, AlreadySentError.
    """
    context = pushes.context
    if is_simulated:
        return send_what_was_tried(context, dry_run_id, now, is_simulated=True)
    with deciding(context.database, dry_run_id, _NOW, now):
        found = find_scheduled(pushes, dry_run_id)
        if found:
            raise AlreadySentError(f"The push is {found.state}; change it or cancel it instead.")
        return send_what_was_tried(context, dry_run_id, now, is_simulated=False)


def change_push(
    pushes: ScheduledPushes, push_id: str, texts: Mapping[str, Any], when: SendTime, now: datetime
) -> ScheduledPushStatus:
    """Change texts, time and settings of a push that has not begun; schedule it if it was not."""
    kept = pushes.find(push_id).push.settings or {}
    safeguards = {**(kept.get("safeguards") or {}), **when.settings["safeguards"]}
    changes = {
        **texts,
        "scheduled_for": when.at,
        "timezone": when.timezone,
        "settings": {**kept, **when.settings, "safeguards": safeguards},
    }
    return pushes.change(push_id, changes, PushState.SCHEDULED, now)


def find_scheduled(pushes: ScheduledPushes, dry_run_id: str) -> ScheduledPushStatus | None:
    """Return the scheduled push that the dry run became, or None."""
    try:
        return pushes.find(_id_of(dry_run_id))
    except DocumentNotFoundError:
        return None


def _id_of(dry_run_id: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"later/{dry_run_id}"))


@contextmanager
def deciding(database: Database, dry_run_id: str, way: str, now: datetime) -> Iterator[None]:
    """Carry out a decision: the push is sent now, or later. One decision at a time, the first wins.

    Others wait until this one is carried out; one that fails leaves no trace.
    Raises: AlreadySentError; LockedError if another one takes long.
    """
    use = KeyUse(_DECISIONS, dry_run_id, way)
    with database.transaction(_WAITS) as connection:
        lock_decision(connection, dry_run_id)
        is_first = insert_key(connection, use, now)
        decided = way if is_first else select_request(connection, use)
        is_sent = way == _LATER and select_execution_by_key(connection, key_of_live(dry_run_id))
        if decided != way or is_sent:
            raise AlreadySentError(
                f"Somebody has decided to send this push {_NOW if is_sent else decided}; make a "
                "new dry run for another send."
            )
        yield
