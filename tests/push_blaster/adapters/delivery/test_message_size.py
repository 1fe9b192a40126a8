"""The size of messages: a message that counts as short without encoding is short."""

import random
from uuid import UUID

import pytest

from push_blaster.adapters.delivery.message_size import MAX_MESSAGE_BYTES, find_excess, measure
from push_blaster.domain.automations.content import PLAIN, Action, Content
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.engagement.receipt import RECEIPT_LENGTH

#: One to six bytes each, as JSON writes them.
ALPHABETS = ("a", '"\\', "é", "木", "\N{SLEUTH OR SPY}", "\x01\x1f")
#: A push without content, one whose texts are short, and one that fills half a message.
CONTENTS = (
    PLAIN,
    Content(image_url="https://a.b/c", badge=99_999, sound="木" * 20, category="\\" * 50),
    Content(image_url="https://a.b/" + "c" * 900, thread_id='"' * 200),
    Content(platforms={"apns": {"payload": {"x": "木" * 300}}, "webpush": {"data": {"y": "z"}}}),
    Content(actions=(Action(id="a", title="木" * 90),), data={"k": '"' * 300}),
)


def a_message(kind: str, dice: random.Random) -> Message:
    def text(most: int) -> str:
        return dice.choice(dice.choice(ALPHABETS)) * dice.randrange(most)

    return Message(
        user_id=UUID(int=dice.getrandbits(128)),
        device_token=text(200),
        title=text(800),
        body=text(3_000),
        deep_link=text(400),
        display_tag="x" * 22,
        device_kind=kind,
        receipt="r" * RECEIPT_LENGTH,
        content=dice.choice(CONTENTS),
    )


@pytest.mark.parametrize("kind", ["fcm", "fid", "apns", "apns_sandbox", "webpush"])
def test_a_message_is_too_long_if_and_only_if_its_bytes_are(kind: str) -> None:
    dice = random.Random(kind)  # noqa: S311 - repeatable, no secret
    limit = {"fid": "fcm", "apns_sandbox": "apns"}.get(kind, kind)

    found = set()
    for _ in range(3_000):
        message = a_message(kind, dice)
        is_too_long = measure(message)[limit] > MAX_MESSAGE_BYTES[limit]
        found.add(is_too_long)
        assert (find_excess(message) is not None) is is_too_long

    assert found == {True, False}


def test_a_webhook_takes_whatever_there_is() -> None:
    message = Message(UUID(int=1), "https://hook", "T", "x" * 10_000, "", "tag", "webhook")

    assert find_excess(message) is None
