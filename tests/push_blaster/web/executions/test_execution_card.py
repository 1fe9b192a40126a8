"""The card of an execution: bars, badges and words of pushes, whatever became of them."""

from datetime import time
from typing import Any

import pytest

from push_blaster.domain.automations.automation import AutomationSettings, QuietHours
from push_blaster.domain.executions.execution import PushProgress, PushStatus
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.web.executions.execution_card import Card
from tests.builders import an_automation, an_execution

NIGHT = QuietHours(start=time(22, 0), end=time(7, 20))


def a_card(
    status: PushStatus = PushStatus.SENDING,
    settings: AutomationSettings | None = None,
    *,
    funnel: Funnel,
    **changes: Any,
) -> Card:
    push = PushProgress(position=1, status=status)
    automation = an_automation(settings=settings or AutomationSettings())
    values = {"phase": Phase.LIVE_EXECUTION, "automation": automation, "pushes": (push,), **changes}
    return Card(an_execution(**values), (funnel,))


@pytest.mark.parametrize(
    ("phase", "label"),
    [
        (Phase.LIVE_EXECUTION, "Not sent yet"),
        (Phase.CANCELLED, "Not sent"),
        (Phase.COMPLETED, "Not sent"),
    ],
)
def test_only_a_running_execution_promises_to_send_to_the_others(phase: Phase, label: str) -> None:
    card = a_card(phase=phase, funnel=Funnel(distinct=10, sent=4, not_sent=6))

    assert [(bar.label, bar.users) for bar in card.bars(0)] == [("Sent", 4), (label, 6)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AutomationSettings(quiet_hours=NIGHT), "wait until 07:20 their time"),
        (AutomationSettings(local_time=True), "wait until 12:30 their time"),
        (AutomationSettings(local_time=True, quiet_hours=NIGHT), "wait until 12:30 their time"),
        (
            AutomationSettings(
                local_time=True, quiet_hours=QuietHours(start=time(12, 0), end=time(13, 0))
            ),
            "wait until 13:00 their time",
        ),
    ],
    ids=["quiet hours", "local time", "local time in the day", "local time in quiet hours"],
)
def test_users_who_wait_for_their_own_time_are_no_send(
    settings: AutomationSettings, words: str
) -> None:
    card = a_card(settings=settings, funnel=Funnel(distinct=400, sent=2, eligible=2, held=398))

    assert card.waits == f"398 {words}"
    assert card.push_badge(0) == ("deferred", words.replace("wait", "Waits"))
    assert [(bar.label, bar.users) for bar in card.bars(0)] == [
        ("Sent", 2),
        (words[0].upper() + words[1:], 398),
    ]


def test_a_push_that_still_sends_is_sending_though_others_wait() -> None:
    funnel = Funnel(distinct=10, sent=2, held=4, in_flight=1, deferred=1, not_sent=2)
    card = a_card(settings=AutomationSettings(quiet_hours=NIGHT), funnel=funnel)

    assert card.push_badge(0) == ("sending", None)
    assert [bar.label for bar in card.bars(0)][1:] == [
        "Wait until 07:20 their time",
        "Being sent",
        "Deferred by the provider",
        "Not sent yet",
    ]


@pytest.mark.parametrize(
    ("mode", "funnel", "badge"),
    [
        (Mode.LIVE, Funnel(excluded=9), ("warning", "Nobody reached")),
        (Mode.LIVE, Funnel(no_token=9), ("warning", "Nobody reached")),
        (Mode.LIVE, Funnel(quiet_hours=9), ("warning", "Nobody reached")),
        (Mode.LIVE, Funnel(excluded=8, sent=1), ("sent", None)),
        (Mode.LIVE, Funnel(excluded=8, in_doubt=1), ("sent", None)),
        (Mode.LIVE, Funnel(sent_before=9), ("sent", None)),
        (Mode.REAL_DRY_RUN, Funnel(excluded=9), ("warning", "Nobody reached")),
        (Mode.REAL_DRY_RUN, Funnel(would_send=9), ("sent", "Tried out")),
    ],
)
def test_what_reached_nobody_is_not_green(
    mode: Mode, funnel: Funnel, badge: tuple[str, str | None]
) -> None:
    card = a_card(PushStatus.SENT, funnel=funnel, mode=mode, phase=Phase.COMPLETED)

    assert card.push_badge(0) == badge
    assert (card.badge.status == "warning") is (badge[0] == "warning")


@pytest.mark.parametrize(
    ("mode", "funnel", "delivered"),
    [
        (Mode.LIVE, Funnel(sent=3), (3, "")),
        (Mode.TEST_LIVE_SEND, Funnel(sent=3), (3, "")),
        (Mode.REAL_DRY_RUN, Funnel(would_send=3), (3, "would have been sent")),
        (Mode.TEST_DRY_RUN, Funnel(), (0, "would have been sent")),
        (Mode.SIMULATION, Funnel(sent=3), (3, "simulated")),
    ],
)
def test_what_was_not_sent_says_what_it_was(
    mode: Mode, funnel: Funnel, delivered: tuple[int, str]
) -> None:
    assert a_card(funnel=funnel, mode=mode).delivered == delivered
