"""What FCM is sent, beside what Google's own library would send; and what its answers mean."""

from typing import Any
from uuid import UUID

import orjson
import pytest
from firebase_admin import messaging
from firebase_admin._messaging_encoder import MessageEncoder
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.adapters.transports.fcm_payload import Advice, encode_message, read_answer
from push_blaster.domain.delivery.message import TTL_S, Message, Outcome
from tests.fakes.fcm_server import BAD_REQUEST, FCM_ERROR

TEXTS = st.text(max_size=60)
ENCODER = MessageEncoder()


def by_google(message: Message) -> Any:
    link, tag = message.deep_link, message.display_tag
    data = {"click_action": link, "url": link} if link else {}
    data |= {"receipt": message.receipt} if message.receipt else {}
    to = {"fid" if message.device_kind == "fid" else "token": message.device_token}
    return ENCODER.default(
        messaging.Message(
            **to,
            notification=messaging.Notification(message.title, message.body),
            data=data or None,
            android=messaging.AndroidConfig(
                priority="high",
                ttl=TTL_S,
                notification=messaging.AndroidNotification(tag=tag),
            ),
            apns=messaging.APNSConfig(headers={"apns-collapse-id": tag, "apns-priority": "10"}),
            webpush=messaging.WebpushConfig(
                headers={"TTL": str(TTL_S)},
                notification=messaging.WebpushNotification(tag=tag),
            ),
        )
    )


@pytest.mark.filterwarnings("ignore:Message.token is deprecated")  # both kinds are registered
@given(
    token=st.text(min_size=1, max_size=60),
    title=TEXTS,
    body=TEXTS,
    link=TEXTS,
    kind=st.sampled_from(["fcm", "fid"]),
    receipt=st.sampled_from(["", "EA" + "r" * 58]),
)
def test_it_is_what_googles_library_would_send(
    token: str, title: str, body: str, link: str, kind: str, receipt: str
) -> None:
    message = Message(
        UUID(int=1), token, title, body, link, "a-tag", device_kind=kind, receipt=receipt
    )

    assert orjson.loads(encode_message(message)) == {"message": by_google(message)}


def test_a_rehearsal_asks_for_validation_only() -> None:
    message = Message(UUID(int=1), "token", "T", "B", "", "a-tag")

    assert orjson.loads(encode_message(message, validate_only=True))["validate_only"] is True


def answer(**error: Any) -> bytes:
    return orjson.dumps({"error": error})


def detail(code: object) -> dict[str, object]:
    return {"@type": FCM_ERROR, "errorCode": code}


def violation(field: object, description: object = "") -> dict[str, object]:
    fields = {"field": field, "description": description}
    return {"@type": BAD_REQUEST, "fieldViolations": [fields]}


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, orjson.dumps({"name": "a"}), Outcome.SENT),
        (200, orjson.dumps({"name": ""}), Outcome.IN_DOUBT),
        (200, orjson.dumps({"name": ["a"]}), Outcome.IN_DOUBT),
        (200, answer(details=[detail("UNREGISTERED")]), Outcome.IN_DOUBT),
        (204, b"", Outcome.IN_DOUBT),
        (301, b"<html>", Outcome.FAILED),
        (400, answer(details=[detail("INVALID_ARGUMENT")]), Outcome.FAILED),
        (400, answer(details=[violation("message.token")]), Outcome.TOKEN_DEAD),
        (400, answer(details=[violation("message.token_ttl")]), Outcome.FAILED),
        (400, answer(details=[violation("message.android.ttl")]), Outcome.FAILED),
        (400, answer(details=[violation(["message.token"], 7)]), Outcome.FAILED),
        (
            400,
            answer(details=[{"fieldViolations": {"field": "message.token"}}]),
            Outcome.FAILED,
        ),
        (404, answer(details=[detail("UNREGISTERED")]), Outcome.TOKEN_DEAD),
        (404, answer(details=detail("UNREGISTERED")), Outcome.FAILED),
        (404, answer(details=[None, 3, [detail("UNREGISTERED")]]), Outcome.FAILED),
        (404, answer(details=[{"errorCode": "UNREGISTERED"}]), Outcome.FAILED),
        (404, answer(details=[detail(["UNREGISTERED"])]), Outcome.FAILED),
        (404, answer(details=[detail(None)]), Outcome.FAILED),
        (404, answer(status="UNREGISTERED"), Outcome.FAILED),
        (404, answer(message={"a": "message.token"}), Outcome.FAILED),
        (403, answer(details=[detail("SENDER_ID_MISMATCH")]), Outcome.FAILED),
        (403, b"", Advice.RENEW_TOKEN),
        (429, b"", Advice.RETRY),
        (500, answer(details=[detail("INTERNAL")]), Advice.RETRY),
        (999, b"\x00", Advice.RETRY),
    ],
)
def test_an_answer_of_any_shape_has_one_meaning(
    status: int, body: bytes, meaning: Outcome | Advice
) -> None:
    judged = read_answer(status, body)

    assert judged.meaning is meaning
    assert judged.reason is None or len(judged.reason) <= 500


def test_an_error_without_a_code_is_told_with_its_status_and_words() -> None:
    body = answer(status="NOT_FOUND", message="No such project.", details=[detail(None)])

    assert (read_answer(404, body).reason or "").startswith("404 NOT_FOUND: check project and")
