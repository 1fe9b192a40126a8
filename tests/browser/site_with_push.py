"""The example's site with Web Push, a browser that visits it, and what a send needs around them.

The push services of browsers are out of reach: subscriptions have keys of the test, a local push
service takes what our transport sends, and DevTools hands what it says to the worker. A click of
the test opens no window, because no person made it: the windows of the worker are written down.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
from flask.testing import FlaskClient
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import CDPSession, Page, Worker, expect

from push_blaster.domain.executions.phase import Phase
from tests.fakes.browser import Browser
from tests.fakes.post_receiver import PostReceiver
from tests.journeys.stack import wait_until
from tests.push_blaster.bench import Bench
from tests.push_blaster.engagement import fold
from tests.push_blaster.settings import IDENTITY_KEY
from tests.push_blaster.web.one_off.ad_hoc_pushes import post

EXAMPLE: Final = Path(__file__).parents[2] / "deploy" / "examples" / "web-app" / "site.py"
_SUBSCRIPTION: Final = Path(__file__).with_name("subscription.js").read_text()
_SHOWN: Final = """
    async () => (await registration.getNotifications()).map(
        ({ title, body, tag }) => ({ title, body, tag }))
"""
_ANSWER: Final = """
    async ([name, action]) => {
        const [notification] = await registration.getNotifications();
        if (name === "notificationclose") notification.close();
        dispatchEvent(new NotificationEvent(name, { notification, action }));
    }
"""
#: Chromium forgets a notification that is asked for while it is being shown; so we do not ask.
_WRITE_DOWN: Final = """
    self.displayed = [];
    const show = ServiceWorkerRegistration.prototype.showNotification;
    ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
        await show.call(this, title, options);
        self.displayed.push(title);
    };
    self.opened = [];
    Clients.prototype.openWindow = async (url) => void self.opened.push(`new ${url}`);
    WindowClient.prototype.focus = async function () { self.opened.push(`tab ${this.url}`); };
"""
#: The counters that tests look at.
_COUNTERS: Final = ("sent", "delivered", "opened", "dismissed", "actions", "optedOut")


@dataclass
class Site:
    """The site in a browser, and the API beside it."""

    url: str
    page: Page
    devtools: CDPSession
    api: FlaskClient
    bench: Bench
    receiver: PostReceiver
    browser: Browser = field(default_factory=Browser)
    registration: str = ""

    def __post_init__(self) -> None:
        self.devtools.on("ServiceWorker.workerRegistrationUpdated", self._note_registration)
        self.devtools.send("ServiceWorker.enable")

    def _note_registration(self, told: dict[str, Any]) -> None:
        for one in told["registrations"]:
            self.registration = one["registrationId"]

    @property
    def worker(self) -> Worker:
        return self.page.context.service_workers[-1]

    def visit(self, name: str = "first") -> None:
        """Open the page, in a browser whose subscription has this name."""
        given = json.dumps({"endpoint": self.endpoint(name), "keys": self.browser.keys})
        self.page.add_init_script(f"globalThis.GIVEN = {given};\n{_SUBSCRIPTION}")
        self.page.goto(self.url)
        self.wait_for_page()
        self.worker.evaluate(
            f"() => {{ globalThis.GIVEN = {given};\n{_SUBSCRIPTION}{_WRITE_DOWN} }}"
        )

    def wait_for_page(self) -> None:
        """Wait until the page has connected."""
        expect(self.page.locator("#state")).not_to_have_text("…")

    def endpoint(self, name: str = "first") -> str:
        return self.receiver.url(f"ok/{name}")

    def sign_in(self, user: object) -> None:
        self.page.get_by_label("Your user id").fill(str(user))
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.locator("#user")).to_have_text(str(user))

    def click(self, button: str, told: str) -> None:
        self.page.get_by_role("button", name=button).click()
        expect(self.page.get_by_role("status")).to_have_text(told)

    def devices(self, user: object) -> list[dict[str, Any]]:
        return list(self.api.get(f"/api/devices?userId={user}").get_json()["devices"])

    def send(self, user: object, **push: Any) -> dict[str, Any]:
        """Send a push, and return what the push service got, as the browser reads it."""
        before = len(self.receiver.received)
        job = post(self.api, userIds=str(user), **push).get_json()["jobId"]
        assert self.bench.run(job).phase is Phase.COMPLETED
        (received,) = self.receiver.received[before:]
        message: dict[str, Any] = self.browser.read(received.body)
        return message

    def deliver(self, message: object) -> None:
        """Hand the text of a message to the worker, as the browser does."""
        text = message if isinstance(message, str) else json.dumps(message)
        given = {"origin": self.url, "registrationId": self.registration, "data": text}
        self.devtools.send("ServiceWorker.deliverPushMessage", given)

    def shown(self) -> list[dict[str, str]]:
        return list(self.worker.evaluate(_SHOWN))

    def wait_to_show(self, title: str) -> list[dict[str, str]]:
        """Return what is shown, once the notification with this title is."""
        wait_until(lambda: self.worker.evaluate("displayed"), lambda d: title in d, 5, 0.02)
        self.worker.evaluate("() => { displayed = []; }")
        return self.shown()

    def answer(self, action: str = "", name: str = "notificationclick") -> None:
        """Let the user answer the first notification: by a button, or without one by a tap."""
        self.worker.evaluate(_ANSWER, [name, action])
        wait_until(self.shown, lambda shown: shown == [], 5, 0.02)

    def wait_to_open(self, *windows: str) -> None:
        """Wait until the worker has opened these windows since the page was visited.

        Shape: `new URL` is a window that was opened, and `tab URL` one that came to the front.
        """
        wait_until(lambda: self.worker.evaluate("opened"), lambda o: o == [*windows], 5, 0.02)

    def counted(self) -> dict[str, int]:
        """Return what the API's results say of all pushes, without what is 0."""
        fold(self.bench.database)
        results = self.api.get("/api/results?group=layer").get_json()["results"]
        counts = results[0]["counts"] if results else {}
        return {name: counts[name] for name in _COUNTERS if counts.get(name)}

    def wait_to_count(self, **counts: int) -> None:
        wait_until(self.counted, lambda found: found == counts, 10)


@contextmanager
def running_example(url: str, push: str) -> Iterator[None]:
    """Run the example's site at `url`, beside the push server at `push`."""
    command = [sys.executable, str(EXAMPLE), "--port", url.rpartition(":")[2], "--push", push]
    environment = {"PATH": os.defpath, "PUSH_IDENTITY_KEY": IDENTITY_KEY}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _answers(url), bool, 20)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def visiting(browser: Chromium, url: str) -> Iterator[tuple[Page, CDPSession]]:
    """Open a browser that may show notifications of the site, and its DevTools."""
    context = browser.new_context(base_url=url, locale="de-AT", timezone_id="Europe/Vienna")
    context.grant_permissions(["notifications"], origin=url)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    try:
        yield page, context.new_cdp_session(page)
    finally:
        context.close()
    assert faults == []
