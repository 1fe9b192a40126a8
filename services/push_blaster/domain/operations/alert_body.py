"""What an alert says: one JSON object, from which each destination makes its own message."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from push_blaster.domain.executions.execution import Trigger
from push_blaster.domain.operations.alert import Notice, NoticeTable

#: Characters of ids that a path keeps as they are.
_KEPT: Final = "@"


def describe_notice(notice: Notice, public_url: str | None) -> Mapping[str, object]:
    """Return the body of an alert; without the public address of the pages it has no links."""
    is_finding = notice.table is NoticeTable.VIOLATIONS
    body = _describe_finding(notice) if is_finding else _describe_alert(notice)
    execution_url = _link(public_url, "executions", notice.execution_id)
    has_page = notice.trigger != Trigger.AD_HOC
    return {
        **body,
        "text": " ".join([str(body["text"]), *([execution_url] if execution_url else [])]),
        "automationId": notice.automation_id,
        "automationName": notice.automation_name,
        "executionId": notice.execution_id,
        "executionUrl": execution_url,
        "automationUrl": _link(public_url, "automations", notice.automation_id, exists=has_page),
        "emergencyContacts": notice.contacts,
        "timestamp": notice.at.isoformat(),
    }


def _link(public_url: str | None, page: str, id_: str, *, exists: bool = True) -> str | None:
    if not public_url or not exists:
        return None
    return f"{public_url.rstrip('/')}/{page}/{quote(id_, safe=_KEPT)}"


def _describe_finding(notice: Notice) -> Mapping[str, object]:
    text = f"{(notice.severity or '').upper()} {notice.automation_name}: {notice.message}"
    return {
        "text": f"{text} ({', '.join(notice.contacts)})" if notice.contacts else text,
        "violationId": notice.id,
        "type": notice.kind,
        "severity": notice.severity,
    }


def _describe_alert(notice: Notice) -> Mapping[str, object]:
    return {
        "text": _write_alert(notice),
        "alertId": notice.id,
        "event": notice.kind,
        "mode": notice.mode,
        "slot": notice.slot.isoformat(),
        "reason": notice.reason,
        "funnels": [funnel.to_document() for funnel in notice.funnels],
    }


def _write_alert(notice: Notice) -> str:
    """Return one line for people: the execution, the event, the reason, and the progress."""
    slot = notice.slot.isoformat(sep=" ", timespec="minutes")
    name = notice.kind.upper().replace("_", " ")
    text = f"{name} {notice.automation_name}, {slot}"
    sentences = [f"{text}: {notice.reason}" if notice.reason else text]
    sentences += [
        f"Push {n}: {funnel.describe()}." for n, funnel in enumerate(notice.funnels, start=1)
    ]
    return " ".join([*sentences, *(f"({contact})" for contact in notice.contacts)])
