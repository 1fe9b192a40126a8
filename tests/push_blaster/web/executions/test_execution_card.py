"""The card of an execution: the bars of a push that was not sent to everybody."""

import pytest

from push_blaster.domain.executions.execution import PushProgress, PushStatus
from push_blaster.domain.executions.funnel import Funnel
from push_blaster.domain.executions.phase import Phase
from push_blaster.web.executions.execution_card import make_card
from tests.builders import an_execution


@pytest.mark.parametrize(
    ("phase", "label"),
    [
        (Phase.LIVE_EXECUTION, "Not sent yet"),
        (Phase.CANCELLED, "Not sent"),
        (Phase.COMPLETED, "Not sent"),
    ],
)
def test_only_a_running_execution_promises_to_send_to_the_others(phase: Phase, label: str) -> None:
    funnel = Funnel(distinct=10, sent=4, not_sent=6)
    push = PushProgress(position=1, status=PushStatus.SENDING, funnel=funnel)

    bars = make_card(an_execution(phase=phase, pushes=(push,))).bars(0)

    assert [(bar.label, bar.users) for bar in bars] == [("Sent", 4), (label, 6)]
