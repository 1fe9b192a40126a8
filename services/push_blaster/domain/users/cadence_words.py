"""What the cadence service knows of a user, in words."""

from push_blaster.domain.cadence.history import HistoryEntry, HistoryKind
from push_blaster.domain.cadence.names import name_layer, name_rule
from push_blaster.domain.users.timeline import EntryKind, TimelineEntry


def tell_history(entry: HistoryEntry) -> TimelineEntry:
    """Return the entry of what the cadence service knows, and no push of ours says."""
    texts = {
        HistoryKind.NOTIFICATION: _tell_notification,
        HistoryKind.SLOT: _tell_slot,
        HistoryKind.EXCLUSION: _tell_cap,
    }
    return TimelineEntry(
        at=entry.at,
        kind=EntryKind(entry.kind),
        id=entry.id,
        text=texts[entry.kind](entry),
        notes=tell_exclusion(entry),
    )


def tell_exclusion(entry: HistoryEntry) -> tuple[str, ...]:
    """Return which sends used up the cap, and until when; nothing if the user was not capped."""
    sends = ", ".join(at.isoformat(timespec="seconds") for at in entry.counted_sends)
    counted = (f"Cadence counted the sends of {sends}.",) if sends else ()
    if entry.next_eligible_at is None:
        return counted
    again = entry.next_eligible_at.isoformat(timespec="seconds")
    return (*counted, f"It would allow a push from {again} on.")


def _tell_notification(entry: HistoryEntry) -> str:
    by = f"import {entry.import_id}" if entry.import_id else "another service"
    what = f"“{entry.push_title}”" if entry.push_title else "a push whose text is unknown"
    to = f", to {entry.audience_description}" if entry.audience_description else ""
    return f"The cadence service has {what}{to}, layer {name_layer(entry.layer_id)}, from {by}."


def _tell_slot(entry: HistoryEntry) -> str:
    until = f" until {entry.expires_at.isoformat(timespec='seconds')}" if entry.expires_at else ""
    return f"The cadence service keeps a slot for a push of layer {entry.layer_id}{until}."


def _tell_cap(entry: HistoryEntry) -> str:
    rule = name_rule(entry.rule or "cadence")
    return f"The cadence service refused a push of layer {entry.layer_id}, by the rule “{rule}”."
