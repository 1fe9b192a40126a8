"""The provider: green only if it takes messages."""

from typing import Any

import pytest

from push_blaster.domain.operations.provider import judge_provider

PACE: dict[str, Any] = {"breaker": "closed", "slowedTo": 1.0}


@pytest.mark.parametrize(
    ("pace", "lately", "level", "said"),
    [
        (PACE, {}, "healthy", ""),
        (PACE, {"sent": 3, "failed": 3}, "healthy", ""),
        (PACE, {"sent": 9, "notSent": 90, "held": 90, "excluded": 90}, "healthy", ""),
        (PACE, {"failed": 1}, "critical", "none of the 1 message"),
        (PACE, {"failed": 40}, "critical", "none of the 40 messages"),
        (PACE, {"deferred": 40}, "critical", "none of the 40 messages"),
        (PACE, {"inDoubt": 40}, "critical", "none of the 40 messages"),
        (PACE, {"sent": 10, "failed": 30}, "critical", "only 10 of the 40 messages"),
        ({**PACE, "breaker": "open"}, {"sent": 9}, "critical", "rejects most"),
        ({**PACE, "fault": "no key"}, {"sent": 9}, "critical", "was sent: no key"),
        ({**PACE, "slowedTo": 0.7}, {"sent": 9}, "degraded", "slowed to 70%"),
        ({**PACE, "slowedTo": 0.7}, {"failed": 9}, "critical", "none of the 9"),
    ],
)
def test_a_provider_is_judged_by_its_answers(
    pace: dict[str, Any], lately: dict[str, int], level: str, said: str
) -> None:
    provider = judge_provider([PACE, pace], lately)

    assert provider.level == level
    assert said in provider.text


def test_without_an_engine_the_last_sends_still_count() -> None:
    assert judge_provider([], {"failed": 2}).level == "critical"
