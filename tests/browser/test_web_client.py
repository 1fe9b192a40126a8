"""The web client on the example's site: register, show, open, report, and sign out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.transports.vapid import Vapid, make_key_pair
from push_blaster.app import create_app
from push_blaster.delivery_settings import DeliverySettings
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.wiring import connect_adapters, connect_transport
from tests.browser.accessibility import find_faults
from tests.browser.site_with_push import Site, running_example, visiting
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fakes.post_receiver import PostReceiver, run_post_receiver
from tests.journeys.stack import free_port, wait_until
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench
from tests.push_blaster.engagement import keep_receipt_key
from tests.push_blaster.settings import settings_for
from tests.serving import serving

pytestmark = pytest.mark.xdist_group("browser")

LINKS: Final = LinkPolicy(schemes=frozenset({"http", "https"}))
#: Nothing serves there.
AWAY: Final = "http://127.0.0.1:9/"
#: The server answers the worker with a status, or does not answer.
BE_AWAY: Final = """
    (status) => {
        self.ownFetch = self.fetch;
        self.fetch = async (url) =>
            status ? new Response("", { status }) : ownFetch("http://127.0.0.1:9/");
    }
"""
#: The browser tries again what could not be sent; it waits longer after each sync that failed.
SYNC: Final = """
    async () => {
        const sync = new SyncEvent("sync", { tag: "push-automation" });
        sync.waitUntil = (work) => void (self.work = work);
        dispatchEvent(sync);
        return self.work.then(() => "sent", () => "failed");
    }
"""
CONNECT: Final = """
    async ([push, options]) => {
        const { connect } = await import(`${push}/client/push.js`);
        const identity = async () => (await fetch("/identity")).text();
        globalThis.push = await connect({ identity, ...options });
    }
"""
EXPIRE: Final = """
    async ({ hasToken }) => {
        if (hasToken) self.pushIdentity = async () => (await fetch("/identity")).text();
        else delete self.pushIdentity;
        const old = await registration.pushManager.getSubscription();
        GIVEN.endpoint = GIVEN.endpoint.replace(/[^/]*$/, "renewed");
        const expired = new Event("pushsubscriptionchange");
        expired.oldSubscription = old;
        expired.waitUntil = (work) => void (self.work = work);
        dispatchEvent(expired);
        await self.work;
    }
"""


#: The site shows a notification of its own, and the user taps it.
SHOW_OWN: Final = """
    async (url) => {
        await registration.showNotification("Of the site", { data: { url } });
        const [notification] = await registration.getNotifications();
        dispatchEvent(new NotificationEvent("notificationclick", { notification }));
        dispatchEvent(new NotificationEvent("notificationclose", { notification }));
    }
"""


@dataclass(frozen=True)
class Servers:
    """The system with Web Push, a push service, and the example's site."""

    push: str
    site: str
    delivery: DeliverySettings
    receiver: PostReceiver
    api: FlaskClient


@pytest.fixture(scope="module")
def servers(
    push_url: str,
    push_pool: Database,
    cadence_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    folder, site = tmp_path_factory.mktemp("web"), f"http://127.0.0.1:{free_port()}"
    with run_post_receiver(folder) as receiver:
        delivery = DeliverySettings(
            to_file=False,
            vapid=Vapid(make_key_pair()[0], "mailto:push@garden.test"),
            push_hosts=["localhost"],
            private_networks=[ip_network("127.0.0.0/8"), ip_network("::1/128")],
            ca_file=receiver.ca_file,
        )
        given = settings_for(push_url, folder)
        settings = replace(
            given,
            cadence_url=cadence_url,
            cadence_token=CADENCE_TOKEN,
            delivery=delivery,
            engine=replace(given.engine, limits=replace(given.engine.limits, links=LINKS)),
            allowed_origins=(site,),
        )
        app = create_app(settings, replace(connect_adapters(settings), database=push_pool))
        api = app.test_client()
        api.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
        with serving(app) as push, running_example(site, push):
            yield Servers(push, site, delivery, receiver, api)


@pytest.fixture
def sending(bench: Bench, servers: Servers, tmp_path: Path) -> Iterator[Bench]:
    """An engine that sends to the push service."""
    keep_receipt_key(bench.database)
    transport = connect_transport(servers.delivery, tmp_path / "messages.jsonl")
    bench.change(transport=transport, limits=replace(bench.context.limits, links=LINKS))
    bench.now = utc_now()
    yield bench
    transport.close()


@pytest.fixture
def site(browser: Chromium, sending: Bench, servers: Servers) -> Iterator[Site]:
    with visiting(browser, servers.site) as opened:
        yield Site(servers.site, *opened, servers.api, sending, servers.receiver)


@pytest.fixture
def subscriber(site: Site) -> Site:
    """The site, where Alice gets notifications."""
    site.page.request.post(f"{site.url}/sign-in", data=str(ALICE))
    site.visit()
    site.click("Turn notifications on", told="Notifications are on.")
    return site


def test_a_user_registers_and_gets_a_push_and_the_answer_is_counted(site: Site) -> None:
    site.visit()
    site.sign_in(ALICE)
    assert find_faults(site.page) == []
    site.click("Turn notifications on", told="Notifications are on.")

    (device,) = site.devices(ALICE)
    assert device["token"] == site.endpoint()
    known = ("kind", "platform", "timezone", "language")
    assert [device[name] for name in known] == ["webpush", "web", "Europe/Vienna", "de-AT"]

    link = f"{site.url}/offers?from=push"
    message = site.send(ALICE, title="Seeds are in 🌱", body="Come and see.", deepLink=link)
    site.deliver(message)
    tag = message["notification"]["tag"]
    expected = {"title": "Seeds are in 🌱", "body": "Come and see.", "tag": tag}
    assert site.wait_to_show("Seeds are in 🌱") == [expected]
    message["notification"]["title"] = "Seeds are in again"
    site.deliver(message)
    assert site.wait_to_show("Seeds are in again") == [{**expected, "title": "Seeds are in again"}]
    site.wait_to_count(sent=1, delivered=1)
    site.answer()
    site.wait_to_open(f"new {link}")
    site.wait_to_count(sent=1, delivered=1, opened=1)


def test_a_sign_out_leaves_no_device_and_shows_nothing_any_more(subscriber: Site) -> None:
    site = subscriber
    site.deliver(site.send(ALICE))
    assert site.wait_to_show("Hello") != []

    site.click("Sign out", told="Goodbye.")

    assert site.devices(ALICE) == []
    assert site.shown() == []
    expect(site.page.locator("#state")).to_have_text("off")


def test_a_button_opens_its_own_link_and_each_answer_is_counted(subscriber: Site) -> None:
    site = subscriber
    grow = {"id": "grow", "title": "Grow", "deepLink": f"{site.url}/grow"}
    others = [{"id": "later", "title": "Later"}, {"id": "opt_out", "title": "No more of these"}]
    message = site.send(ALICE, actions=[grow, *others], badge=3)

    for action in ("grow", "later", "of-nobody", "opt_out"):
        site.deliver(message)
        site.wait_to_show("Hello")
        site.answer(action)
    site.deliver(message)
    site.wait_to_show("Hello")
    site.answer(name="notificationclose")

    home = f"tab {site.url}/"
    site.wait_to_open(f"new {site.url}/grow", home, home)
    site.wait_to_count(sent=1, delivered=1, actions=1, optedOut=1, dismissed=1)
    (opt_out,) = site.api.get(f"/api/opt-outs?userId={ALICE}").get_json()["optOuts"]
    assert (opt_out["scope"], opt_out["layerId"]) == ("layer", 3)


def test_a_message_leads_only_where_the_site_allows(subscriber: Site, servers: Servers) -> None:
    site, home = subscriber, f"tab {subscriber.url}/"
    message = site.send(ALICE)
    links = ("https://evil.test/", "javascript:alert(1)", "garden://x", "//evil.test", "%", None)
    blob = f"blob:{site.url}/of-the-same-origin"
    opened = []

    for link in (*links, blob, "https://shop.test/a?b#c"):
        message["data"]["url"] = link
        site.deliver(message)
        site.wait_to_show("Hello")
        site.answer()
        opened.append(home)
        site.wait_to_open(*opened)
    site.page.evaluate(CONNECT, [servers.push, {"links": ["https://shop.test"]}])
    site.deliver(message)
    site.wait_to_show("Hello")
    site.answer()

    site.wait_to_open(*opened, "new https://shop.test/a?b#c")


def test_messages_and_notifications_of_others_are_left_alone(subscriber: Site) -> None:
    site = subscriber
    message = site.send(ALICE)
    foreign = {"notification": {"title": "Foreign"}, "data": {"url": site.url}}

    for text in ("no JSON", "null", "[]", foreign, {**message, "notification": {}}):
        site.deliver(text)
    site.worker.evaluate(SHOW_OWN, site.url)
    site.deliver(message)

    assert {one["title"] for one in site.wait_to_show("Hello")} == {"Hello", "Of the site"}
    site.wait_to_open()
    site.wait_to_count(sent=1, delivered=1)


def test_a_silent_message_shows_nothing_and_gives_its_data_to_the_site(subscriber: Site) -> None:
    site = subscriber
    message = site.send(ALICE)
    data = {**message["data"], "plant": "fern"}

    site.worker.evaluate("() => { self.pushData = async (data) => { self.taken = data; }; }")
    site.deliver({"data": data})

    site.wait_to_count(sent=1, delivered=1)
    assert site.worker.evaluate("() => self.taken") == data
    assert site.worker.evaluate("async () => (await registration.getNotifications()).length") == 0


def test_a_message_with_strange_options_is_shown_without_them(subscriber: Site) -> None:
    site = subscriber
    message = site.send(ALICE)
    message["notification"] |= {"silent": True, "vibrate": [1], "icon": "http://[/"}

    site.deliver(message)

    (shown,) = site.wait_to_show("Hello")
    assert shown["tag"] == message["notification"]["tag"]


@pytest.mark.parametrize("status", [None, 429, 503])
def test_reports_wait_for_a_server_that_is_away(subscriber: Site, status: int | None) -> None:
    site = subscriber
    message = site.send(ALICE)
    site.worker.evaluate(BE_AWAY, status)
    site.deliver(message)
    site.wait_to_show("Hello")
    site.answer()
    site.wait_to_open(f"tab {site.url}/")
    assert site.counted() == {"sent": 1}

    assert site.worker.evaluate(SYNC) == "failed"
    site.worker.evaluate("() => { self.fetch = ownFetch; }")
    site.page.reload()

    site.wait_to_count(sent=1, delivered=1, opened=1)


def test_the_next_user_takes_the_browser_over(subscriber: Site) -> None:
    site = subscriber
    site.page.evaluate("fetch('/sign-out', {method: 'POST'})")  # and the page forgets nothing
    site.page.reload()
    site.wait_for_page()
    assert [device["token"] for device in site.devices(ALICE)] == [site.endpoint()]

    site.sign_in(BOB)
    site.wait_for_page()

    assert site.devices(ALICE) == []
    assert [device["token"] for device in site.devices(BOB)] == [site.endpoint()]


def test_a_sign_out_ends_the_subscription_although_the_server_is_away(
    subscriber: Site, servers: Servers
) -> None:
    site = subscriber
    site.page.evaluate(CONNECT, [servers.push, {"server": AWAY}])

    fault = site.page.evaluate("push.forget().catch((error) => String(error))")

    assert "Failed to fetch" in fault
    assert site.page.evaluate("push.state()") == "off"


@pytest.mark.parametrize("has_token", [True, False], ids=["by the worker", "by the page"])
def test_a_subscription_that_expired_is_registered_anew(subscriber: Site, has_token: bool) -> None:
    site = subscriber
    new = site.endpoint("renewed")
    site.page.evaluate("GIVEN.endpoint = GIVEN.endpoint.replace(/[^/]*$/, 'renewed')")
    if has_token:
        site.page.evaluate("localStorage.clear()")  # so that the page does nothing

    site.worker.evaluate(EXPIRE, {"hasToken": has_token})

    wait_until(lambda: {one["token"] for one in site.devices(ALICE)}, lambda t: new in t, 5, 0.05)


def test_a_browser_with_an_earlier_key_subscribes_anew_with_ours(
    subscriber: Site, servers: Servers
) -> None:
    site = subscriber
    site.page.evaluate(
        "async () => (await caches.open('subscription of the test')).put('/key', new Response('x'))"
    )

    site.page.reload()
    site.wait_for_page()

    assert servers.delivery.vapid
    options = "navigator.serviceWorker.ready.then((r) => r.pushManager.getSubscription())"
    key = site.page.evaluate(f"{options}.then((s) => s.options.applicationServerKey)")
    assert key == servers.delivery.vapid.public_key


def test_a_proxy_may_serve_the_worker_as_a_file_of_the_site(
    browser: Chromium, sending: Bench, servers: Servers
) -> None:
    own = {"worker": "/client/push-worker.js", "scope": "/"}
    with visiting(browser, servers.push) as opened:
        site = Site(servers.push, *opened, servers.api, sending, servers.receiver)
        subscription = {"endpoint": site.endpoint(), "keys": site.browser.keys}
        site.api.post("/api/devices", json={"userId": str(ALICE), "subscription": subscription})
        site.page.goto(f"{servers.push}/sign-in")
        site.page.evaluate(CONNECT, [servers.push, own])

        site.deliver(site.send(ALICE))

        site.wait_to_count(sent=1, delivered=1)
