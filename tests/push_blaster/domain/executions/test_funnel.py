"""The funnel: the count of each state of the ledger, and the stored form."""

from collections import Counter

import pytest

from push_blaster.domain.delivery.ledger import LedgerCounts, LedgerState
from push_blaster.domain.executions.funnel import COUNTS, Funnel, Group, count_funnel

#: What is stored and answered since 0.1.0: names may be added, none may change.
NAMES = {
    *("generated", "valid", "distinct", "holdout", "sentBefore", "held", "quietHours"),
    *("localTimePassed", "notInTime", "eligible", "excluded", "exclusionBreakdown", "withToken"),
    *("noToken", "missingVariable", "badDeepLink", "tooLong", "sent", "wouldSend", "failed"),
    *("variants", "inFlight", "deferred", "inDoubt", "resentInDoubt", "notSent"),
    *("exited", "noWinner", "optedOut"),
}
ONE_OF_EACH = LedgerCounts(
    states=Counter(LedgerState),
    rules={"cooldown": 1},
    variants={"b": {"sent": 2}, "a": {"failed": 1, "token_dead": 1}},
    ever_in_doubt=3,
)


def test_the_names_in_json_stay() -> None:
    document = Funnel().to_document()

    assert set(document) == NAMES


@pytest.mark.parametrize("state", LedgerState)
def test_each_state_of_the_ledger_is_counted_once(state: LedgerState) -> None:
    counting = [name for name, count in COUNTS.items() if state in count.states]

    assert len(counting) == 1


def test_users_left_out_before_cadence_is_asked_are_not_eligible() -> None:
    funnel = count_funnel(ONE_OF_EACH, generated=30, valid=29, distinct=28)

    # The holdout, exited, no winner, opted out, sent before, awaits a window, three by own time.
    never_asked = 9
    assert funnel.eligible == len(LedgerState) - never_asked - funnel.excluded
    assert funnel.with_token == funnel.eligible - 1
    assert funnel.not_sent == 28 - len(LedgerState)
    assert funnel.resent_in_doubt == 2


def test_a_funnel_comes_back_from_its_document() -> None:
    funnel = count_funnel(ONE_OF_EACH, generated=30, valid=29, distinct=28)

    assert Funnel.from_document(funnel.to_document()) == funnel


def test_an_older_funnel_lacks_later_counts_and_a_newer_one_has_more() -> None:
    older = Funnel.from_document({"generated": 3, "sent": 2})
    newer = Funnel.from_document({"sent": 2, "seenFromOrbit": 1})

    assert (older.generated, older.sent, older.holdout) == (3, 2, 0)
    assert newer == Funnel(sent=2)


def test_counts_are_listed_in_words_without_zeros() -> None:
    funnel = Funnel(distinct=9, no_token=2, in_doubt=1, sent=3)

    assert [str(one) for one in funnel.list_counts(Group.LOST)] == [
        "2 without a device",
        "1 in doubt (outcome unknown)",
    ]


def test_a_bare_funnel_in_one_line_tells_zeros_too() -> None:
    assert Funnel().describe().startswith("0 generated, 0 valid, 0 distinct")
