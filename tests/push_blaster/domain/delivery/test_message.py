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


def test_the_tag_of_a_message_stays_as_it_is_in_every_version() -> None:
    tag = display_tag("garden-activity@20261124T113000Z", "p1", ALICE)

    assert tag == "YOrky-KT_-FsludaLUUq8Q"
