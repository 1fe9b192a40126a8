"""Firebase Cloud Messaging, HTTP v1, over the multiplexer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from push_blaster.adapters.transports.answers import Judgement
from push_blaster.adapters.transports.fcm_payload import MAX_BYTES, encode_message, read_answer
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.adapters.transports.multiplexed_transport import (
    Connecting,
    MultiplexedTransport,
    ProviderFormat,
)
from push_blaster.adapters.transports.multiplexer import Answer
from push_blaster.domain.delivery.message import Message, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmOptions:
    """The address of FCM, and its timeout.

    Units: `answer_timeout` is how long one answer may take.
    Shape: with `validate_only` FCM checks every message and delivers none.
    """

    project_id: str
    base_url: str
    ca_file: Path | None = None
    answer_timeout: timedelta = timedelta(seconds=20)
    validate_only: bool = False


class FcmTransport(MultiplexedTransport):
    """Sends messages to one Firebase project; any number of threads may send at once."""

    def __init__(self, options: FcmOptions, tokens: GoogleTokens) -> None:
        """Take the address, and the tokens that authenticate requests."""
        url = f"{options.base_url}/v1/projects/{options.project_id}/messages:send"
        connecting = Connecting(
            url=url, ca_file=options.ca_file, answer_timeout=options.answer_timeout
        )
        super().__init__(_format(options), connecting, tokens)


def _format(options: FcmOptions) -> ProviderFormat:
    def encode(message: Message, now_s: int) -> bytes:
        return encode_message(message, now_s, validate_only=options.validate_only)

    return ProviderFormat(
        name="FCM",
        base_url=options.base_url,
        max_bytes=MAX_BYTES,
        encode=encode,
        head=_head,
        read_answer=_judge,
        taken=Outcome.DRY_RUN if options.validate_only else Outcome.SENT,
    )


def _head(token: str, _now_s: int) -> Callable[[Message], Sequence[str]]:
    # One list for all requests, so that libcurl copies it once for each handle.
    headers = [f"Authorization: Bearer {token}", "Content-Type: application/json"]
    return lambda _: headers


def _judge(answer: Answer) -> Judgement:
    return read_answer(answer.status, answer.body)
