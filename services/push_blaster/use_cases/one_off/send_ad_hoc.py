"""Send one push ad hoc: by an execution of an automation that has no file."""

import time
from datetime import datetime, timedelta
from typing import Final

from chassis.http.ending import ENDING
from chassis.postgres import Database
from push_blaster.adapters.audiences.uploads import keep_upload
from push_blaster.adapters.executions.execution_view import select_execution, select_snapshot
from push_blaster.adapters.one_off.ad_hoc_document import AdHocPush, write_ad_hoc
from push_blaster.domain.audiences.audience import read_user_ids
from push_blaster.domain.executions.execution import Execution, Trigger
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.context import LIVE_KEY, SIMULATED_KEY, WebContext
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution
from push_blaster.use_cases.one_off.check_ad_hoc import AdHocRequest, check_ad_hoc

_LOOK_EVERY_S: Final = 0.2


class NoDryRunError(Exception):
    """There is no completed dry run of this ad hoc push."""


def send_ad_hoc(
    context: WebContext,
    asked: AdHocRequest,
    mode: Mode,
    key: str | None,
    now: datetime,
    *,
    is_simulated: bool,
) -> Execution:
    """Start the execution that sends the push, or a dry run; the same key starts it once.

    Raises: BadAdHocPushError, in the order of the checks; IdempotencyConflictError.
    """
    layer_id = check_ad_hoc(asked, context.limits)
    users, _ = read_user_ids(asked.user_ids)
    file = asked.file
    push = AdHocPush(
        title=asked.title,
        body=asked.body,
        layer_id=layer_id,
        deep_link=asked.deep_link,
        message=asked.message,
        user_ids=tuple(str(user_id) for user_id in users),
        upload=keep_upload(context.data_folder, file.content, file.name) if file else None,
        audience_description=asked.audience_description,
        window=asked.window,
    )
    request = StartRequest(
        mode=mode,
        is_simulated=is_simulated,
        trigger=Trigger.AD_HOC,
        idempotency_key=key,
    )
    return start_execution(context, write_ad_hoc(push, key, now), request, now)


def send_what_was_tried(
    context: WebContext, dry_run_id: str, now: datetime, *, is_simulated: bool
) -> Execution:
    """Send the push of a dry run; repeated calls send it once.

    Raises: ExecutionNotFoundError; NoDryRunError if it is not a completed dry run.
    """
    with context.database.transaction() as connection:
        tried = select_execution(connection, dry_run_id)
        document = select_snapshot(connection, dry_run_id)
    check_dry_run(tried)
    request = StartRequest(
        mode=Mode.LIVE,
        is_simulated=is_simulated,
        trigger=Trigger.AD_HOC,
        idempotency_key=f"{SIMULATED_KEY}{dry_run_id}" if is_simulated else key_of_live(dry_run_id),
    )
    return start_execution(context, document, request, now)


def check_dry_run(tried: Execution) -> None:
    """Raise NoDryRunError unless it is a completed dry run of an ad hoc push."""
    if not is_ad_hoc_dry_run(tried) or tried.phase is not Phase.COMPLETED:
        raise NoDryRunError(f"{tried.id!r} is no completed dry run of an ad hoc push.")


def is_ad_hoc_dry_run(execution: Execution) -> bool:
    """Return whether the execution is the dry run of an ad hoc push."""
    return execution.trigger is Trigger.AD_HOC and execution.mode is Mode.REAL_DRY_RUN


def key_of_live(dry_run_id: str) -> str:
    """Return the idempotency key under which the push of a dry run is sent."""
    return f"{LIVE_KEY}{dry_run_id}"


def wait_for_end(database: Database, execution: Execution, limit: timedelta) -> Execution:
    """Return the execution once it, `limit` or this process has ended."""
    until = time.monotonic() + limit.total_seconds()
    while not execution.has_ended and time.monotonic() < until and not ENDING.wait(_LOOK_EVERY_S):
        with database.transaction() as connection:
            execution = select_execution(connection, execution.id)
    return execution
