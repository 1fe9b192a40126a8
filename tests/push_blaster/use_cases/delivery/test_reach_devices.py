"""Several devices of a user: which are reached, which outcome counts, which are marked as dead."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from push_blaster.domain.devices.device import Address
from push_blaster.use_cases.delivery.reach_devices import reach_devices
from tests.people import ALICE, BOB, CAROL


@dataclass
class Post:
    """Carries messages; what becomes of each device is written in `outcomes`, else it is sent."""

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    breaks_at: str | None = None
    carried: list[tuple[UUID, str, str]] = field(default_factory=list)

    def send(
        self, messages: Sequence[Message], should_stop: Callable[[], bool]
    ) -> Iterator[Delivery]:
        for message in messages:
            if message.device_token == self.breaks_at:
                raise TransportUnavailableError("the line is cut")
            self.carried.append((message.user_id, message.device_token, message.display_tag))
            outcome = self.outcomes.get(message.device_token, Outcome.SENT)
            yield Delivery(message.user_id, outcome, reason=message.device_token)

    def check(self) -> None:
        """It is there."""

    def close(self) -> None:
        """There is nothing to let go of."""


def a_message(user_id: UUID, *tokens: str, fault: str | None = None) -> Message:
    newest, *others = tokens or ("",)
    return Message(
        user_id,
        newest,
        "Title",
        "Body",
        "",
        f"tag of {user_id}",
        other_devices=tuple(Address(token) for token in others),
        fault=fault,
    )


def reach(post: Post, *messages: Message) -> dict[UUID, Delivery]:
    deliveries = list(reach_devices(post, messages, lambda: False))
    assert len(deliveries) == len({d.user_id for d in deliveries}), "one outcome for each user"
    return {delivery.user_id: delivery for delivery in deliveries}


def test_every_device_gets_the_message_under_one_display_tag() -> None:
    post = Post()

    told = reach(post, a_message(ALICE, "a1", "a2", "a3"), a_message(BOB, "b1"))

    assert {d.outcome for d in told.values()} == {Outcome.SENT}
    assert [token for _, token, _ in post.carried] == ["a1", "b1", "a2", "a3"]
    assert len({tag for user_id, _, tag in post.carried if user_id == ALICE}) == 1


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (Outcome.FAILED, Outcome.SENT, Outcome.SENT),
        (Outcome.SENT, Outcome.TOKEN_DEAD, Outcome.SENT),
        (Outcome.SENT, Outcome.DEFERRED, Outcome.SENT),
        (Outcome.SENT, Outcome.NOT_SENT, Outcome.SENT),
        (Outcome.IN_DOUBT, Outcome.FAILED, Outcome.IN_DOUBT),
        (Outcome.NOT_SENT, Outcome.IN_DOUBT, Outcome.IN_DOUBT),
        (Outcome.FAILED, Outcome.DEFERRED, Outcome.DEFERRED),
        (Outcome.TOKEN_DEAD, Outcome.NOT_SENT, Outcome.NOT_SENT),
        (Outcome.TOKEN_DEAD, Outcome.FAILED, Outcome.FAILED),
        (Outcome.TOKEN_DEAD, Outcome.TOKEN_DEAD, Outcome.TOKEN_DEAD),
        (Outcome.DRY_RUN, Outcome.DRY_RUN, Outcome.DRY_RUN),
    ],
)
def test_a_user_is_sent_to_if_any_device_took_it(
    first: Outcome, second: Outcome, told: Outcome
) -> None:
    post = Post({"one": first, "two": second})

    delivery = reach(post, a_message(ALICE, "one", "two"))[ALICE]

    assert delivery.outcome is told


def test_dead_devices_are_told_one_by_one_whatever_became_of_the_user() -> None:
    post = Post(dict.fromkeys(["a1", "a3", "b1"], Outcome.TOKEN_DEAD))

    told = reach(post, a_message(ALICE, "a1", "a2", "a3"), a_message(BOB, "b1"))

    assert told[ALICE].outcome is Outcome.SENT
    assert [dead.address.token for dead in told[ALICE].dead_devices] == ["a1", "a3"]
    assert [dead.address.token for dead in told[BOB].dead_devices] == ["b1"]


def test_whoever_was_reached_before_the_line_was_cut_is_told_of() -> None:
    post = Post({"b1": Outcome.FAILED}, breaks_at="a2")
    told: list[Delivery] = []

    with pytest.raises(TransportUnavailableError):
        told.extend(
            reach_devices(
                post, [a_message(ALICE, "a1", "a2"), a_message(BOB, "b1", "b2")], lambda: False
            )
        )

    assert [(d.user_id, d.outcome) for d in told] == [(ALICE, Outcome.SENT)]


def test_of_whom_it_is_not_known_where_to_is_deferred_and_nothing_is_carried() -> None:
    post = Post()

    told = reach(post, a_message(CAROL, fault="the source is away"), a_message(BOB, "b1"))

    assert (told[CAROL].outcome, told[CAROL].reason) == (Outcome.DEFERRED, "the source is away")
    assert [token for _, token, _ in post.carried] == ["b1"]
