"""Who wins an experiment, by the users of each variant and how many of them opened."""

import random
from datetime import timedelta

import pytest

from push_blaster.domain.automations.experiment import Experiment, Metric, Variant, WhenUnsure
from push_blaster.domain.executions.decision import PushDecision, make_decision
from push_blaster.domain.executions.winner import Arm, Choice, choose_winner
from tests.builders import NOON, a_push

TESTS = Experiment(test_percent=20)
CLEAR = {"A": Arm(10_000, 1_000), "B": Arm(10_000, 1_400)}


def choose(*trials: dict[str, Arm], experiment: Experiment = TESTS, of: str = "AB") -> Choice:
    return choose_winner(experiment, list(of), trials)


@pytest.mark.parametrize("order", ["AB", "BA"])
def test_a_clear_winner_is_named_with_its_lead_and_the_figures(order: str) -> None:
    choice = choose(CLEAR, of=order)

    assert (choice.variant, choice.is_sure) == ("B", True)
    assert choice.reason.startswith("B wins. B is opened ")
    assert "more often than A so far" in choice.reason
    assert "A 1000 of 10000" in choice.reason
    assert choice.reason.endswith("The others get B.")


def test_executions_are_pooled_and_each_has_its_own_split() -> None:
    few = [{"A": Arm(1_000, 100), "B": Arm(1_000, 140)}] * 10
    uneven = [{"A": Arm(9_000, 900), "B": Arm(1_000, 100)}, {"A": Arm(100, 50), "B": Arm(900, 450)}]

    assert not choose(few[0]).is_sure
    assert choose(*few).variant == "B"
    assert not choose(*uneven).is_sure, "each execution for itself, they are alike"


@pytest.mark.parametrize("when_unsure", WhenUnsure)
@pytest.mark.parametrize(
    ("trials", "why"),
    [
        ([], "The variant A was sent to nobody"),
        ([{"A": Arm(50, 5)}], "The variant B was sent to nobody"),
        ([{"A": Arm(50, 0), "B": Arm(60, 0)}], "None of 110 users is known to have opened it"),
        (
            [{"A": Arm(50, 5), "B": Arm(50, 6)}],
            "Users who have opened it: A 5 of 50, B 6 of 50. The",
        ),
        ([{"A": Arm(50, 50), "B": Arm(50, 50)}], "No variant surely wins. "),
    ],
)
def test_without_a_sure_winner_the_rest_gets_what_was_asked_for(
    trials: list[dict[str, Arm]], why: str, when_unsure: WhenUnsure
) -> None:
    experiment = Experiment(test_percent=20, when_unsure=when_unsure)

    choice = choose(*trials, experiment=experiment)

    assert not choice.is_sure
    assert why in choice.reason
    if when_unsure is WhenUnsure.FIRST:
        assert choice.variant == "A"
        assert choice.reason.endswith("The others get the first variant, A.")
    else:
        assert choice.variant is None
        assert choice.reason.endswith("The others get nothing.")


@pytest.mark.parametrize(("lead", "is_enough"), [(39, True), (41, False)])
def test_a_lead_below_the_minimum_is_not_enough(lead: float, is_enough: bool) -> None:
    choice = choose(CLEAR, experiment=Experiment(test_percent=20, minimum_lead=lead))

    assert choice.is_sure is is_enough
    assert ("less than 41 %" in choice.reason) is not is_enough


def test_the_winner_of_many_is_ahead_of_each() -> None:
    close = {**CLEAR, "C": Arm(10_000, 1_390)}
    clear = {**CLEAR, "C": Arm(10_000, 1_000)}

    assert not choose(close, of="ABC").is_sure
    assert choose(clear, of="ABC").variant == "B"


def test_a_goal_is_spelled_as_a_goal() -> None:
    experiment = Experiment(test_percent=20, metric=Metric.CONVERTED)

    assert "Users who have reached the goal: A 1000" in choose(CLEAR, experiment=experiment).reason


def test_where_nothing_differs_hardly_ever_a_variant_wins() -> None:
    dice = random.Random(22)  # noqa: S311 - repeatable, no secret

    def draw() -> dict[str, Arm]:
        return {name: Arm(2_000, round(dice.gauss(200, 13.4))) for name in "ABCD"}

    wins = sum(choose(draw(), of="ABCD").is_sure for _ in range(200))

    assert wins <= 10


def test_a_decision_keeps_its_draw_and_has_figures_of_all_trials() -> None:
    known = PushDecision(draw="monday", decides_at=NOON)
    push = a_push(variants=tuple(Variant(id=name) for name in "AB"), experiment=TESTS)
    now = NOON + timedelta(minutes=1)

    made = make_decision(known, push, [CLEAR, CLEAR], now)

    assert (made.draw, made.decides_at, made.decided_at) == ("monday", NOON, now)
    assert (made.variant, made.is_sure) == ("B", True)
    assert made.figures["B"] == {"users": 20_000, "events": 2_800}
