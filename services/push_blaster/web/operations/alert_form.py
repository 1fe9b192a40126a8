"""The form of a destination of alerts, and what others have saved since it was drawn."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from flask import request

from push_blaster.domain.access.token import mark_of
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.destination import (
    Destination,
    DestinationKind,
    DestinationOrder,
    show_host,
)
from push_blaster.web.frame.conflicts import read_choices, read_drawn, write_drawn
from push_blaster.web.frame.merging import Merge, merge

LABELS: Final = {"name": "Name", "emails": "Addresses", "url": "URL"}


def read_order(kind: DestinationKind) -> DestinationOrder:
    """Return what the form asks for."""
    form = request.form
    return DestinationOrder(
        name=form.get("name", ""),
        kind=kind,
        address=form.get("url", "") or form.get("emails", ""),
        events=tuple(form.getlist("events")),
        automations=tuple(form.getlist("automations")),
        modes=tuple(Mode) if "tests" in form else (Mode.LIVE,),
    )


def draw_order(order: DestinationOrder) -> str:
    """Return the order as the form carries it; of a URL, which may hold a secret, only a mark."""
    return write_drawn(_as_document(order))


def merge_order(current: Destination) -> Merge:
    """Return the current order with what the form has changed."""
    theirs, drawn = _as_document(current), read_drawn()
    base = theirs | drawn if isinstance(drawn, dict) else theirs
    mine = _as_document(read_order(current.kind))
    if not mine["url"]:  # an empty field keeps the URL
        mine["url"] = base["url"]
    return merge(base, mine, theirs, "id", read_choices(current.version))


def as_order(document: Mapping[str, Any], current: Destination) -> DestinationOrder:
    """Return the order of a merged document; modes that the form cannot name stay as they are."""
    sent = read_order(current.kind)
    is_same = document["tests"] is _as_document(current)["tests"]
    is_my_url = document["url"] and document["url"] == _as_document(sent)["url"]
    return replace(
        sent,
        name=document["name"],
        address=sent.address if is_my_url else document["emails"],
        events=tuple(name for name, is_chosen in document["events"].items() if is_chosen),
        automations=tuple(id_ for id_, is_chosen in document["automations"].items() if is_chosen),
        modes=current.modes if is_same else sent.modes,
    )


def _show_url(url: str) -> str:
    """Return what may be shown of a URL, and a mark that tells it from others of the same host."""
    if not url:
        return ""
    try:
        host = show_host(url)
    except ValueError:  # what somebody typed is no URL
        host = "no URL"
    return f"{host} ({mark_of(url)[:6]})"


def _as_document(order: DestinationOrder) -> dict[str, Any]:
    is_email = order.kind is DestinationKind.EMAIL
    addresses = (part.strip() for part in order.address.split(","))
    return {
        "name": order.name.strip(),
        "emails": ",".join(filter(None, addresses)) if is_email else "",
        "url": "" if is_email else _show_url(order.address.strip()),
        "events": dict.fromkeys(map(str, order.events), True),
        "automations": dict.fromkeys(order.automations, True),
        "tests": set(order.modes) > {Mode.LIVE},
    }
