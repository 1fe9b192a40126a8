"""What happens to connections and streams, at both providers that we reach over HTTP/2."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from push_blaster.adapters.transports import multiplexer
from push_blaster.adapters.transports.apns_transport import (
    ApnsKey,
    ApnsOptions,
    ApnsTransport,
    ProviderTokens,
    read_p8,
)
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.adapters.transports.multiplexed_transport import MultiplexedTransport
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from tests.fakes.apns_server import KEY_ID, TEAM, TOPIC, ApnsServer, hexed, make_p8, unhexed
from tests.fakes.fcm_server import FcmServer, run_provider
from tests.fakes.token_server import make_key, run_token_server

Connect = Callable[..., MultiplexedTransport]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A provider, how we connect to it, and how its device tokens are written."""

    name: str
    kind: type[FcmServer]
    server: FcmServer
    connect_to: Callable[[str, Path, timedelta], MultiplexedTransport]
    write: Callable[[str], str] = str

    def connect(
        self, url: str | None = None, answer_timeout: timedelta = timedelta(seconds=20)
    ) -> MultiplexedTransport:
        return self.connect_to(url or self.server.url, self.server.ca_file, answer_timeout)

    def message(self, number: int, word: str) -> Message:
        return Message(
            user_id=UUID(int=number),
            device_token=self.write(word),
            title="Seeds are in",
            body="Come and see",
            deep_link="https://garden.example/seeds",
            display_tag=f"tag-{number}",
            device_kind=self.name,
        )

    def send(self, transport: MultiplexedTransport, *words: str) -> dict[str, Delivery]:
        messages = [self.message(number, word) for number, word in enumerate(words)]
        outcomes = list(transport.send(messages, lambda: False))
        assert len(outcomes) == len(messages), "one outcome for each message"
        return {words[d.user_id.int]: d for d in outcomes}

    def received(self) -> list[str]:
        """Return the words of the devices whose messages arrived."""
        if isinstance(self.server, ApnsServer):
            return [
                unhexed(one["headers"][":path"].rpartition("/")[2]) for one in self.server.received
            ]
        return [one["token"] for one in self.server.received]


@pytest.fixture(scope="module")
def google_key() -> str:
    return make_key()[0]


@pytest.fixture(params=["fcm", "apns"])
def peer(request: pytest.FixtureRequest, tmp_path: Path, google_key: str) -> Iterator[Peer]:
    if request.param == "apns":
        private, public = make_p8()
        tokens = ProviderTokens(ApnsKey(private_key=read_p8(private), key_id=KEY_ID, team_id=TEAM))

        def connect_to_apns(url: str, ca_file: Path, timeout: timedelta) -> MultiplexedTransport:
            options = ApnsOptions(
                topic=TOPIC,
                base_url=url,
                sandbox_url=url,
                ca_file=ca_file,
                answer_timeout=timeout,
            )
            return ApnsTransport(options, tokens)

        with run_provider(ApnsServer, tmp_path) as apns:
            apns.public_key = public
            yield Peer(
                name="apns", kind=ApnsServer, server=apns, connect_to=connect_to_apns, write=hexed
            )
        return
    with run_provider(FcmServer, tmp_path) as fcm, run_token_server(None) as google:
        account = {
            "client_email": "push@garden.test",
            "private_key": google_key,
            "token_uri": google.url,
        }

        def connect_to_fcm(url: str, ca_file: Path, timeout: timedelta) -> MultiplexedTransport:
            options = FcmOptions(
                project_id="garden", base_url=url, ca_file=ca_file, answer_timeout=timeout
            )
            return FcmTransport(options, GoogleTokens(account, None))

        yield Peer(name="fcm", kind=FcmServer, server=fcm, connect_to=connect_to_fcm)


@pytest.fixture
def transport(peer: Peer) -> Iterator[MultiplexedTransport]:
    transport = peer.connect()
    yield transport
    transport.close()


@pytest.mark.slow
def test_many_messages_share_few_connections(peer: Peer, transport: MultiplexedTransport) -> None:
    sent = peer.send(transport, *[f"ok-{n}" for n in range(1_500)])

    assert {d.outcome for d in sent.values()} == {Outcome.SENT}
    assert len(set(peer.received())) == len(peer.received()) == 1_500
    assert peer.server.connections <= 16


def test_no_answer_leaves_a_message_in_doubt(peer: Peer) -> None:
    hasty = peer.connect(answer_timeout=timedelta(seconds=1))

    delivery = peer.send(hasty, "hang", "ok-1")["hang"]
    hasty.close()

    assert delivery.outcome is Outcome.IN_DOUBT
    assert (delivery.reason or "").startswith("no answer")
    assert peer.server.attempts["hang"] == 1


def test_a_killed_connection_leaves_what_was_on_it_in_doubt_and_loses_nobody(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    outcomes = peer.send(transport, "cut", *[f"ok-{n}" for n in range(300)])

    assert outcomes["cut"].outcome is Outcome.IN_DOUBT
    assert {d.outcome for d in outcomes.values()} <= {Outcome.SENT, Outcome.IN_DOUBT}
    sent = {word for word, d in outcomes.items() if d.outcome is Outcome.SENT}
    assert sent <= set(peer.received())
    again = peer.send(transport, "ok-again")
    assert again["ok-again"].outcome is Outcome.SENT


def test_a_connection_that_takes_no_more_is_replaced(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    words = [f"goaway-1-{n}" if n % 50 == 0 else f"ok-{n}" for n in range(300)]

    outcomes = peer.send(transport, *words)

    assert {d.outcome for d in outcomes.values()} <= {Outcome.SENT, Outcome.IN_DOUBT}
    assert peer.server.connections > 1
    assert max(peer.server.attempts.values()) <= 2


def test_a_provider_that_is_not_there_is_named_and_nobody_is_in_doubt(peer: Peer) -> None:
    transport = peer.connect("https://localhost:9")

    outcomes = peer.send(transport, "ok-1", "ok-2")
    transport.close()

    assert {d.outcome for d in outcomes.values()} == {Outcome.DEFERRED}
    assert "cannot be reached" in (outcomes["ok-1"].reason or "")


def test_a_certificate_of_a_stranger_is_refused(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with run_provider(peer.kind, tmp_path / "other") as other:
        transport = peer.connect(other.url)
        with pytest.raises(TransportUnavailableError, match="cannot be reached"):
            list(transport.send([peer.message(1, "ok")], lambda: False))
        transport.close()

    assert not other.requests


def test_a_message_that_is_too_large_never_leaves(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    large = peer.message(1, "ok-1")._replace(body="ä" * 2_048)

    (delivery,) = transport.send([large], lambda: False)

    assert delivery.outcome is Outcome.FAILED
    assert "takes 4096" in (delivery.reason or "")
    assert not peer.server.requests


@pytest.mark.slow
def test_a_stop_takes_effect_at_once_and_accounts_for_everybody(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    begun = time.monotonic()
    messages = [peer.message(n, "hang" if n % 2 else f"ok-{n}") for n in range(4_000)]

    deliveries = list(transport.send(messages, lambda: time.monotonic() - begun > 0.3))

    assert time.monotonic() - begun < 2
    assert len({d.user_id for d in deliveries}) == 4_000
    counted = {o: sum(d.outcome is o for d in deliveries) for o in Outcome}
    assert counted[Outcome.SENT] + counted[Outcome.IN_DOUBT] + counted[Outcome.NOT_SENT] == 4_000
    assert counted[Outcome.NOT_SENT] > 0
    untouched = {d.user_id for d in deliveries if d.outcome is Outcome.NOT_SENT}
    reached = {UUID(int=int(word.removeprefix("ok-"))) for word in peer.received()}
    assert not untouched & reached


def test_a_stop_before_the_send_leaves_every_message_unsent(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    stopped = threading.Event()
    stopped.set()

    messages = [peer.message(n, f"ok-{n}") for n in range(50)]
    deliveries = list(transport.send(messages, stopped.is_set))

    assert [d.outcome for d in deliveries] == [Outcome.NOT_SENT] * 50
    assert not peer.server.requests


def test_a_success_that_names_no_message_is_no_proof(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    """A proxy that answers 200 with a page of its own has taken nothing, or everything."""
    delivery = peer.send(transport, "nonsense")["nonsense"]

    assert delivery.outcome is Outcome.IN_DOUBT
    assert (delivery.reason or "").startswith("200 without the ")


def test_an_answer_that_is_too_long_is_broken_off_and_judged_by_its_status(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplexer, "MAX_ANSWER", 5)
    transport = peer.connect()

    outcomes = peer.send(transport, "ok-1", "nonsense", "down", "page")
    transport.close()

    # FCM names a message in the body of its answer, and Apple in a header.
    assert {word: d.outcome for word, d in outcomes.items()} == {
        "ok-1": Outcome.IN_DOUBT if peer.name == "fcm" else Outcome.SENT,
        "nonsense": Outcome.IN_DOUBT,
        "down": Outcome.DEFERRED,
        "page": Outcome.FAILED,
    }


def test_few_streams_a_connection_are_respected(peer: Peer, tmp_path: Path) -> None:
    peer.server.max_streams = 3
    transport = peer.connect()

    outcomes = peer.send(transport, *[f"ok-{n}" for n in range(100)])
    transport.close()

    assert {d.outcome for d in outcomes.values()} == {Outcome.SENT}


def test_a_message_whose_connection_dies_is_never_sent_again_behind_our_back(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    peer.send(transport, *[f"ok-warm-{n}" for n in range(20)])

    outcomes = peer.send(transport, "cut-1-a", *[f"ok-{n}" for n in range(50)])

    assert outcomes["cut-1-a"].outcome is Outcome.IN_DOUBT
    assert max(peer.server.attempts.values()) == 1


@pytest.mark.parametrize("word", ["refused", "reset"])
def test_a_stream_that_is_closed_ends_in_one_outcome(
    peer: Peer, transport: MultiplexedTransport, word: str
) -> None:
    outcomes = peer.send(transport, f"{word}-1-a", *[f"ok-{n}" for n in range(50)])

    assert outcomes[f"{word}-1-a"].outcome in {Outcome.IN_DOUBT, Outcome.DEFERRED}
    assert {outcomes[f"ok-{n}"].outcome for n in range(50)} == {Outcome.SENT}
    assert peer.server.attempts[f"{word}-1-a"] == 1


@pytest.mark.slow
def test_threads_share_the_connections(peer: Peer, transport: MultiplexedTransport) -> None:
    with ThreadPoolExecutor(8) as threads:
        batches = [[f"ok-{n}-{m}" for m in range(200)] for n in range(8)]
        outcomes = list(threads.map(lambda batch: peer.send(transport, *batch), batches))

    assert [len(found) for found in outcomes] == [200] * 8
    assert len(set(peer.received())) == len(peer.received()) == 1_600
    assert peer.server.connections <= 16


@pytest.mark.slow
def test_a_mix_of_answers_gives_everybody_exactly_one_outcome(
    peer: Peer, transport: MultiplexedTransport
) -> None:
    unknown = "malformed" if peer.name == "fcm" else "bad"
    words = {0: "unregistered", 50: "busy", 75: "down", 90: unknown}
    tokens = [f"{words.get(n % 100, 'ok')}-x-{n}" for n in range(2_000)]

    outcomes = peer.send(transport, *tokens)

    counted = Counter(d.outcome for d in outcomes.values())
    assert counted == {
        Outcome.SENT: 1_920,
        Outcome.TOKEN_DEAD: 40,
        Outcome.DEFERRED: 40,
    }
    assert max(peer.server.attempts.values()) == 1
