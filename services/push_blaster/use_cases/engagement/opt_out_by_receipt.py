"""Opt users out who say so in a message: the receipt of the message proves who says it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from chassis.postgres import Connection
from push_blaster.adapters.devices.opt_out_table import upsert_opt_outs
from push_blaster.adapters.engagement.opt_out_tap_table import TapKey, insert_taps
from push_blaster.adapters.engagement.pushes_of_receipts import KnownPush
from push_blaster.domain.automations.automation import ONE_OFF_ID
from push_blaster.domain.devices.opt_out import OptOut, Scope, Source
from push_blaster.domain.engagement.event import Event

#: How much of the name of an automation the reason shows.
_NAME_SHOWN: Final = 100


class Tap(NamedTuple):
    """The event `opted_out`, the push whose message the user saw, and what the phone says.

    Shape: `scope` names the pushes that the user does not want, `said_at` is the instant as it
    came.
    """

    event: Event
    push: KnownPush
    scope: Scope | None
    said_at: datetime | None


def opt_out_by_receipts(connection: Connection, taps: Sequence[Tap], now: datetime) -> None:
    """Set an opt-out for each tap; safe to repeat.

    A repetition changes nothing: its user may want pushes again by now. It names the same message,
    the same pushes and the same instant; a tap that differs in one of them is a new one.
    """
    if not taps:
        return
    new = insert_taps(connection, [_key(tap) for tap in taps], now)
    upsert_opt_outs(connection, [_make_opt_out(tap, now) for tap in taps if _key(tap) in new])


def _key(tap: Tap) -> TapKey:
    event, said_at = tap.event, tap.said_at.isoformat() if tap.said_at else ""
    return TapKey(
        event.user_id, event.execution_number, event.position, _find_scope(tap).value, said_at
    )


def _find_scope(tap: Tap) -> Scope:
    """Return which pushes the tap is about: of the automation, or of a one-off push of its layer.

    No later push belongs to the same one-off push.
    """
    is_one_off = ONE_OFF_ID.fullmatch(tap.push.automation_id)
    return tap.scope or (Scope.LAYER if is_one_off else Scope.AUTOMATION)


def _make_opt_out(tap: Tap, now: datetime) -> OptOut:
    scope = _find_scope(tap)
    targets = {Scope.LAYER: str(tap.push.layer_id), Scope.AUTOMATION: tap.push.automation_id}
    return OptOut(
        user_id=tap.event.user_id,
        scope=scope,
        target=targets.get(scope, ""),
        reason=f"in a message of {tap.push.automation_name[:_NAME_SHOWN]}",
        source=Source.RECEIPT,
        set_at=now,
    )
