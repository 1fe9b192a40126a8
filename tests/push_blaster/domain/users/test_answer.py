"""The answer to "I got two" and "I got none", from facts alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.devices.opt_out import OptOut, Scope, Source
from push_blaster.domain.users.answer import ERASED, UNKNOWN, Facts, Standing, answer
from push_blaster.domain.users.erasure import Erasure, Stage
from push_blaster.domain.users.push_words import explain, tell_push
from push_blaster.domain.users.timeline import EntryKind, TimelineEntry, UserPush
from tests.builders import NOON
from tests.people import ALICE


def a_push(title: str = "A", **changes: Any) -> UserPush:
    values = {
        "execution_id": f"news@{title}",
        "automation_id": "news",
        "automation_name": "News",
        "mode": "live",
        "position": 1,
        "is_test": False,
        "batch": 0,
        "layer_id": 3,
        "state": "sent",
        "reason": None,
        "provider_id": None,
        "variant": None,
        "was_in_doubt": False,
        "tries": 0,
        "claimed_at": NOON,
        "settled_at": NOON,
        "title": title,
        "body": "Body",
        "deep_link": "",
        **changes,
    }
    return UserPush(**values)


def say(*pushes: UserPush, **changes: Any) -> str:
    facts = Facts(
        since=NOON - timedelta(days=7),
        entries=[tell_push(push) for push in pushes],
        has_usual_period=True,
        standing=Standing(devices=1),
    )
    return answer(replace(facts, **changes))


def test_an_erasure_that_waits_is_told_with_what_it_waits_for() -> None:
    erasure = Erasure(id=ALICE, stage=Stage.ASKED, asked_at=NOON, waits_for="the end of news@1")

    said = say(a_push("A"), standing=Standing(erasure=erasure))

    assert said.startswith("This user is being erased: no push goes to the user until the user")
    assert said.endswith("The erasure waits for the end of news@1.")


def test_a_test_that_was_not_sent_is_told_apart_from_pushes() -> None:
    without: dict[str, Any] = {
        "state": LedgerState.NO_TOKEN,
        "mode": "test-live-send",
        "is_test": True,
    }

    said = say(a_push(**without), a_push(**without | {"mode": "simulation"}))

    assert "Tests that were not sent to the user: 1 without a device." in said
    assert "Not sent to the user" not in said


def test_a_reason_that_says_it_all_is_not_said_twice() -> None:
    reason = "opted out of all pushes"
    push = a_push(state=LedgerState.OPTED_OUT, reason=reason)

    assert explain(push) == "Opted out of all pushes."
    assert explain(replace(push, reason="by hand")) == "Opted out: by hand."


def test_two_pushes_are_named_with_their_automation_and_their_time() -> None:
    said = say(a_push("A"), a_push("B", automation_name="Offers"))

    assert said == (
        "In the last 7 days this user got 2 pushes: “A” of News at 2026-11-24T12:00:00+00:00 and "
        "“B” of Offers at 2026-11-24T12:00:00+00:00. The cadence rules allowed each of them."
    )


def test_of_many_pushes_three_are_named_and_the_others_counted() -> None:
    said = say(*(a_push(letter) for letter in "ABCDE"))

    assert "got 5 pushes: “A”" in said
    assert "“C” of News at 2026-11-24T12:00:00+00:00 and 2 more." in said
    assert "“D”" not in said


def test_a_message_that_was_sent_again_is_one_reason_for_two() -> None:
    said = say(a_push(was_in_doubt=True))

    assert "got 1 push:" in said
    assert "“A” may have arrived twice: the first send was in doubt" in said


def test_a_message_in_doubt_may_have_arrived() -> None:
    assert "Whether “A” arrived is unknown" in say(a_push(state="in_doubt"))


def test_unchecked_pushes_and_users_over_a_cap_are_reasons_for_two() -> None:
    unchecked = say(a_push("A"), a_push("B", uncapped_reason="cadence is away"))
    over = say(a_push("A"), a_push("B", over_cap=("layer_3_cooldown_hours",)))

    assert "“B” went out without a check of the cadence rules." in unchecked
    assert "allowed each" not in unchecked + over
    assert "The user got more than the cadence rules allow." in over


def test_one_push_on_two_devices_is_a_reason_for_two() -> None:
    many = Standing(devices=2)

    assert "“A” went to every device, and the user has 2 of them" in say(
        a_push(to_every_device=True), standing=many
    )
    assert "every device" not in say(a_push(), standing=many)


def test_what_others_recorded_and_tests_are_counted_apart() -> None:
    other = TimelineEntry(at=NOON, kind=EntryKind.NOTIFICATION, id="n", text="x")
    trials = [
        tell_push(a_push("T", is_test=True)),
        tell_push(a_push("S", mode="simulation")),
        tell_push(a_push("D", mode="test-dry-run", state="dry_run")),
    ]

    said = say(entries=[other, *trials])

    assert "this user got no push." in said
    assert "The cadence service has 1 push more, which others recorded." in said
    assert "Besides, the user got 1 test." in said


def test_none_says_what_became_of_each() -> None:
    capped = a_push("A", state="held_back", reason="layer_3_cooldown_hours")
    quiet = a_push("B", state="quiet_hours", reason="quiet hours in Europe/Vienna")

    said = say(capped, replace(capped, execution_id="x"), quiet)

    assert said == (
        "In the last 7 days this user got no push. Not sent to the user: "
        "2 capped by the rule “Pause between behaviour-responsive pushes” and 1 in quiet hours."
    )


def test_none_says_what_keeps_pushes_away_now() -> None:
    opt_out = OptOut(user_id=ALICE, scope=Scope.ALL, set_at=NOON)

    said = say(standing=Standing(devices=0, opt_outs=[opt_out]), last=a_push("Old"))

    assert "No push of this time had the user in its audience." in said
    assert "The user has opted out of all pushes since 2026-11-24T12:00:00+00:00." in said
    assert "No living device of the user is registered here." in said
    assert "Before, the user last got “Old” at 2026-11-24T12:00:00+00:00." in said


def test_a_time_that_somebody_asks_about_is_named() -> None:
    asked = say(has_usual_period=False, until=NOON)

    assert asked.startswith(
        "From 2026-11-17T12:00:00+00:00 until 2026-11-24T12:00:00+00:00, this user got no push."
    )


def test_what_is_cut_says_so() -> None:
    assert "ask about a shorter time" in say(a_push(), is_cut=True)
    assert "had the user in its audience" not in say(is_cut=True)


def test_nobody_knows_an_unknown_user() -> None:
    assert say(is_known=False) == UNKNOWN


def test_every_state_of_the_ledger_is_said_in_words() -> None:
    for state in LedgerState:
        text = explain(a_push(state=state.value, reason="why", tries=1))
        assert text[0].isupper()
        assert text.endswith(".")
        assert "_" not in text, text
    assert explain(a_push(state="deferred", reason="held until noon")) == (
        "Deferred to the user's send window: held until noon."
    )
    assert explain(a_push(state="a_newer_one")) == "A newer one."


def test_of_an_erased_user_nothing_else_is_said() -> None:
    opt_out = OptOut(user_id=ALICE, scope=Scope.ALL, source=Source.ERASURE, set_at=NOON)

    said = say(a_push("A"), standing=Standing(devices=1, opt_outs=[opt_out]))

    assert said == ERASED
