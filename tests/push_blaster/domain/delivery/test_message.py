"""Display tags."""

from push_blaster.domain.delivery.message import display_tag
from tests.people import ALICE, BOB


def test_a_message_sent_again_has_the_same_tag_and_every_other_one_another() -> None:
    tags = {
        display_tag(execution, push, user)
        for execution in ("a@1", "a@2")
        for push in ("p1", "p2")
        for user in (ALICE, BOB)
    }

    assert len(tags) == 8
    assert display_tag("a@1", "p1", ALICE) in tags
    assert {len(tag) for tag in tags} == {22}
