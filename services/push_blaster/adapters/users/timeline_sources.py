"""What our own tables know of one user, as entries of the timeline.

Each statement finds the rows of the user by an index, and reads as many as a page has. The events
of a user are found through the user's deliveries: an index of events by user would slow the fold.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.automations.automation_document import pick_push
from push_blaster.domain.automations.experiment import Experiment, is_in_test
from push_blaster.domain.devices.opt_out import SOURCE_WORDS, OptOut, Scope, Source
from push_blaster.domain.users.push_words import tell_push
from push_blaster.domain.users.timeline import (
    EntryKind,
    Texts,
    TimelineEntry,
    UserPush,
    Window,
)

#: The rows that fit, newest first; ids are compared by their bytes.
_FITTING: Final = """
     WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
       AND (%(at)s::timestamptz IS NULL OR (at, id) < (%(at)s::timestamptz, %(id)s::text))
     ORDER BY at DESC, id DESC LIMIT %(limit)s
"""
PUSHES: Final = f"""
    SELECT d.*, e.automation_id, e.automation_name, e.mode, e.uncapped_reason,
           coalesce(e.snapshot #>> '{{settings,devices}}' = 'all', false) AS to_every_device,
           e.snapshot -> 'pushSequence' AS pushes,
           t.title AS sent_title, t.body AS sent_body, o.rules,
           CASE WHEN d.state = 'deferred' AND d.tries = 0 THEN p.draw END AS draw
      FROM (SELECT * FROM (
              SELECT execution_id, position, is_test, batch, state, reason, provider_id, variant,
                     was_in_doubt, tries, claimed_at, settled_at, claimed_at AS at,
                     concat_ws('/', 'push', execution_id, position,
                               CASE WHEN is_test THEN 'test' ELSE 'live' END) COLLATE "C" AS id
                FROM deliveries WHERE user_id = %(user)s) own
            {_FITTING}) d
      JOIN executions e ON e.id = d.execution_id
      LEFT JOIN push_decisions p ON NOT d.is_test AND p.execution_id = d.execution_id
                                AND p.position = d.position
      LEFT JOIN testers t ON d.is_test AND t.execution_id = d.execution_id
                         AND t.position = d.position AND t.user_id = %(user)s
      LEFT JOIN over_cap o ON NOT d.is_test AND o.execution_id = d.execution_id
                          AND o.position = d.position AND o.user_id = %(user)s
"""  # noqa: S608 - a constant
SAMPLED: Final = f"""
    SELECT * FROM (
      SELECT s.at, s.layer_id, s.is_sent,
             concat_ws('/', 'sampled', execution_number, position) COLLATE "C" AS id
        FROM (SELECT * FROM sampled_pushes WHERE user_id = %(user)s OFFSET 0) s
       WHERE NOT EXISTS (SELECT FROM executions e WHERE e.number = s.execution_number)) own
    {_FITTING}
"""  # noqa: S608 - a constant
EVENTS: Final = f"""
    SELECT * FROM (
      SELECT e.at, e.event, e.action, r.execution_id, r.automation_id, r.automation_name,
             r.position, concat_ws('/', 'event', r.execution_id, r.position, e.event, e.action)
               COLLATE "C" AS id
        FROM deliveries d
       CROSS JOIN LATERAL (SELECT * FROM result_pushes r
                            WHERE r.execution_id = d.execution_id AND r.position = d.position
                           OFFSET 0) r
       CROSS JOIN LATERAL (SELECT * FROM events e
                            WHERE e.week = r.week AND e.execution_number = r.execution_number
                              AND e.position = r.position AND e.user_id = %(user)s
                           OFFSET 0) e
       WHERE d.user_id = %(user)s AND NOT d.is_test) own
    {_FITTING}
"""  # noqa: S608 - a constant
CONVERSIONS: Final = f"""
    SELECT at, id, goal, value,
           (SELECT array_agg(automation_id ORDER BY automation_id) FROM attributions a
             WHERE a.conversion_id = own.number) AS automations
      FROM (SELECT * FROM (
              SELECT id AS number, at, goal, value, concat_ws('/', 'conversion', id)
                       COLLATE "C" AS id
                FROM conversions WHERE user_id = %(user)s) found
            {_FITTING}) own
     ORDER BY at DESC, id DESC
"""  # noqa: S608 - a constant
OPT_OUTS: Final = f"""
    SELECT * FROM (
      SELECT o.*, set_at AS at, concat_ws('/', 'opt-out', scope, target) COLLATE "C" AS id
        FROM opt_outs o WHERE user_id = %(user)s) own
    {_FITTING}
"""  # noqa: S608 - a constant
DEVICES: Final = f"""
    WITH own AS (SELECT * FROM devices WHERE user_id = %(user)s)
    SELECT * FROM (
      SELECT created_at AS at, 'registered' AS what, kind, platform, NULL AS reason, token FROM own
       UNION ALL
      SELECT dead_at, 'dead', kind, platform, dead_reason, token FROM own WHERE dead_at IS NOT NULL
       UNION ALL
      SELECT doubted_at, 'doubted', kind, NULL, reason, execution_id || token
        FROM doubted_devices WHERE user_id = %(user)s
       UNION ALL
      SELECT created_at, 'named', kind, platform, name, id::text
        FROM test_devices WHERE user_id = %(user)s) found
     CROSS JOIN LATERAL (
       SELECT concat_ws('/', 'device', what, left(encode(sha256(convert_to(token, 'UTF8')), 'hex'),
                        16)) COLLATE "C" AS id) named
    {_FITTING}
"""  # noqa: S608 - a constant

#: What became of a device, as a person reads it.
_DEVICE: Final[Mapping[str, str]] = {
    "registered": "Registered a device: {device}.",
    "dead": "The provider called a device dead: {device}: {reason}",
    "doubted": "The provider called a device dead, and was not believed: {device}: {reason}",
    "named": "Somebody named a device of the user as a test device: {reason}.",
}
_EVENT: Final[Mapping[str, str]] = {
    "delivered": "The app reported the push as delivered.",
    "opened": "The user opened the push.",
    "dismissed": "The user dismissed the push.",
    "opted_out": "The user opted out by the push.",
}


def select_pushes(connection: Connection, user_id: UUID, window: Window) -> list[TimelineEntry]:
    """Return what the ledger says: each push for the user, and what became of it."""
    rows = fetch_all(
        connection,
        PUSHES,
        window_values(user_id, window),
        make=partial(_make_push, user_id),
        by_name=True,
    )
    return [tell_push(row) for row in rows]


def select_sampled(connection: Connection, user_id: UUID, window: Window) -> list[TimelineEntry]:
    """Return the pushes of removed executions that the fatigue curve still counts."""
    return _select(connection, SAMPLED, user_id, window, _tell_sampled)


def select_events(connection: Connection, user_id: UUID, window: Window) -> list[TimelineEntry]:
    """Return what apps reported of pushes to the user."""
    return _select(connection, EVENTS, user_id, window, _tell_event)


def select_conversions(
    connection: Connection, user_id: UUID, window: Window
) -> list[TimelineEntry]:
    """Return the goals that the user reached, and the automations for which they count."""
    return _select(connection, CONVERSIONS, user_id, window, _tell_conversion)


def select_opt_outs(connection: Connection, user_id: UUID, window: Window) -> list[TimelineEntry]:
    """Return when the user opted out of which pushes."""
    return _select(connection, OPT_OUTS, user_id, window, _tell_opt_out)


def select_devices(connection: Connection, user_id: UUID, window: Window) -> list[TimelineEntry]:
    """Return when devices of the user came, and when they were called dead."""
    return _select(connection, DEVICES, user_id, window, _tell_device)


def window_values(user_id: UUID, window: Window) -> dict[str, object]:
    """Return the values of the statements, for a user."""
    at, id_ = window.before or (None, None)
    period = {"since": window.since, "until": window.until, "limit": window.limit}
    return {**period, "user": user_id, "at": at, "id": id_}


def _select(
    connection: Connection, sql: str, user_id: UUID, window: Window, make: Any
) -> list[TimelineEntry]:
    return fetch_all(connection, sql, window_values(user_id, window), make=make, by_name=True)


def _make_push(
    user_id: UUID,
    *,
    pushes: Sequence[Mapping[str, Any]],
    sent_title: str | None,
    sent_body: str | None,
    rules: Sequence[str] | None,
    draw: str | None,
    **columns: Any,
) -> UserPush:
    push = pick_push(pushes, columns["position"])
    del columns["at"], columns["id"]
    return UserPush(
        title=push["title"] if sent_title is None else sent_title,
        body=push["body"] if sent_body is None else sent_body,
        deep_link=push.get("deepLink") or "",
        layer_id=push["layerId"],
        texts=Texts.WRITTEN if sent_title is None else Texts.PERSONAL,
        over_cap=tuple(rules or ()),
        awaits_winner=_awaits_winner(push, columns["automation_id"], draw, user_id),
        **columns,
    )


def _awaits_winner(
    push: Mapping[str, Any], automation_id: str, draw: str | None, user_id: UUID
) -> bool:
    """Return whether a user who was never tried waits for the winner of an experiment."""
    if draw is None or not push.get("experiment"):
        return False
    experiment = Experiment(test_percent=push["experiment"]["testPercent"])
    return not is_in_test(experiment, automation_id, push["id"], draw, user_id)


def _tell_sampled(*, layer_id: int, is_sent: bool, **place: Any) -> TimelineEntry:
    became = "was sent to the user" if is_sent else "was planned for the user, and was not sent"
    text = f"A push of layer {layer_id} {became}. Its execution has been removed."
    return TimelineEntry(kind=EntryKind.REMOVED_PUSH, text=text, **place)


def _tell_event(*, event: str, action: str, **columns: Any) -> TimelineEntry:
    text = f"The user chose the action {action!r}." if action else _EVENT.get(event, f"{event}.")
    return TimelineEntry(kind=EntryKind.EVENT, text=text, **columns)


def _tell_conversion(
    *,
    goal: str,
    value: Decimal | None,
    automations: Sequence[str] | None,
    **place: Any,
) -> TimelineEntry:
    worth = "" if value is None else f", value {value.normalize():f}"
    counted = f" It counts for {', '.join(automations)}." if automations else ""
    text = f"The user reached the goal {goal!r}{worth}.{counted}"
    return TimelineEntry(kind=EntryKind.CONVERSION, text=text, **place)


def _tell_opt_out(*, scope: str, source: str, **columns: Any) -> TimelineEntry:
    place = {name: columns.pop(name) for name in ("at", "id")}
    opt_out = OptOut(scope=Scope(scope), source=Source(source), **columns)
    until = f", until {opt_out.until.isoformat(timespec='seconds')}" if opt_out.until else ""
    reason = f": {opt_out.reason}" if opt_out.reason else ""
    said = opt_out.describe()
    text = f"{said[0].upper()}{said[1:]}{until} ({SOURCE_WORDS[opt_out.source]}){reason}."
    return TimelineEntry(kind=EntryKind.OPT_OUT, text=text, **place)


def _tell_device(
    *, what: str, kind: str, platform: str | None, reason: str | None, **columns: Any
) -> TimelineEntry:
    place = {name: columns[name] for name in ("at", "id")}
    device = f"{platform} ({kind})" if platform else kind
    text = _DEVICE[what].format(device=device, reason=reason)
    return TimelineEntry(kind=EntryKind.DEVICE, text=text, **place)


#: All that is read of our own tables; the order of entries at one instant is that of their ids.
SOURCES: Final = (
    select_pushes,
    select_sampled,
    select_events,
    select_conversions,
    select_opt_outs,
    select_devices,
)
