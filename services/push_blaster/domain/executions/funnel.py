"""The funnel of a push: how many users were generated, eligible, sent to, and lost on the way."""

from collections.abc import Mapping
from typing import Any, Final

from push_blaster.domain.executions.execution import PushProgress

#: The states of users about whom cadence was not asked, or not yet.
_NEVER_ASKED: Final = (
    "holdout",
    "sent_before",
    "held",
    "quiet_hours",
    "local_time_passed",
    "not_in_time",
)


def _failed(states: Mapping[str, int]) -> int:
    return states.get("failed", 0) + states.get("token_dead", 0)


def read_funnel(push: PushProgress, counted: dict[str, Any] | None) -> dict[str, Any]:
    """Return the funnel of a push: who was generated, valid, distinct, eligible, … and sent.

    Shape: counts of users; `exclusionBreakdown` by cadence rule, `variants` by variant's id;
    `notSent` had no turn yet.
    """
    states = (counted or {}).get("states", {})
    distinct = push.audience.distinct if push.audience else 0
    decided = sum(states.values())
    held_back = states.get("held_back", 0)
    eligible = decided - held_back - sum(states.get(state, 0) for state in _NEVER_ASKED)
    return {
        "generated": push.audience.generated if push.audience else 0,
        "valid": push.audience.valid if push.audience else 0,
        "distinct": distinct,
        "holdout": states.get("holdout", 0),
        "sentBefore": states.get("sent_before", 0),
        "held": states.get("held", 0),
        "quietHours": states.get("quiet_hours", 0),
        "localTimePassed": states.get("local_time_passed", 0),
        "notInTime": states.get("not_in_time", 0),
        "eligible": eligible,
        "excluded": held_back,
        "exclusionBreakdown": (counted or {}).get("rules", {}),
        "withToken": eligible - states.get("no_token", 0),
        "noToken": states.get("no_token", 0),
        "missingVariable": states.get("missing_variable", 0),
        "badDeepLink": states.get("bad_deep_link", 0),
        "tooLong": states.get("too_long", 0),
        "sent": states.get("sent", 0),
        "wouldSend": states.get("dry_run", 0),
        "failed": _failed(states),
        "variants": {
            name: {"sent": own.get("sent", 0), "failed": _failed(own)}
            for name, own in sorted((counted or {}).get("variants", {}).items())
        },
        "inFlight": states.get("claimed", 0),
        "deferred": states.get("deferred", 0),
        "inDoubt": states.get("in_doubt", 0),
        "resentInDoubt": (counted or {}).get("in_doubt", 0) - states.get("in_doubt", 0),
        "notSent": distinct - decided,
    }
