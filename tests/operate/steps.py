"""The steps of the night, each as docs/operations.md describes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import psycopg

from tests.fakes.set_clock import make_clock
from tests.fakes.token_server import make_key
from tests.journeys.stack import wait_until
from tests.operate.elsewhere import restore_elsewhere
from tests.operate.next_version import READ, make_next_version
from tests.operate.night import Night, Step
from tests.operate.site import EACH, SOON_S, Kind, Site

MIGRATE: Final = (("cadence-service", "migrate"), ("push-blaster", "migrate"))
#: A command says so while it waits for somebody who uses a table.
WAITS: Final = "schema_change_waits"
#: So many messages show that sends go on.
FEW: Final = 20
ROLES: Final = ("ADMIN", "OPERATOR", "VIEWER")
AHEAD: Final = timedelta(days=400)


def install(night: Night) -> str:
    """Everything runs, and health says so."""
    site = night.site
    health = site.wait_for_engines(EACH)
    assert all(site.is_well(*part) for part in site.parts)
    night.await_messages(1)
    return (
        f"{len(site.parts)} processes answer; {len(health['automationEngine']['engines'])} engines"
    )


def back_up(night: Night) -> str:
    """A backup beside a send, and its check."""
    backup = str(night.folder / "backups" / "first")
    saved = night.site.run("push-backup", "save", backup)
    assert (saved.code, saved.last) == (0, f"The backup is in {backup}."), saved
    checked = night.site.run("push-backup", "check", backup)
    assert (checked.code, checked.last) == (0, "The backup is complete and undamaged."), checked
    kept = night.site.run("push-backup", "remove-old", str(night.folder / "backups"))
    assert (kept.code, kept.said) == (0, ""), kept
    return f"{saved.last} {checked.last}"


def migrate(night: Night) -> str:
    """Migrate for the next version while somebody reads for long: sends go on meanwhile."""
    site, settings = night.site, make_next_version(night.folder / "next")
    with _reading(site):
        migrating = [site.begin(*command, **settings) for command in MIGRATE]
        for command in migrating:
            wait_until(command.log.read_text, lambda said: WAITS in said, SOON_S)
        pauses = [night.await_messages(FEW) for _ in range(4)]
        assert [command.process.poll() for command in migrating] == [None, None]
    done = [command.end() for command in migrating]
    assert [answer.code for answer in done] == [0, 0], done
    site.stack.environment |= settings  # whatever starts from now on is the next version
    return f"migrations waited, and {FEW} messages took at most {max(pauses):.1f} s"


@contextmanager
def _reading(site: Site) -> Iterator[None]:
    """Keep a transaction open in each database that has read what every send uses."""
    urls = (site.stack.database_url, site.stack.cadence_database_url)
    with psycopg.connect(urls[0]) as push, psycopg.connect(urls[1]) as cadence:
        push.execute(READ["push_blaster"])
        cadence.execute(READ["cadence_service"])
        yield


def replace_all(night: Night) -> str:
    """Every process is replaced by the next version, one after the other."""
    night.site.restart_all(*Kind)
    night.site.wait_for_engines(EACH)
    return "every process ended with code 0, and the next one answered"


def go_back(night: Night) -> str:
    """The version before runs again, over the tables of the next one."""
    del night.site.stack.environment["PYTHONPATH"]
    night.site.restart_all(*Kind)
    night.await_messages(FEW)
    return "the version before works with the newer tables"


def prune_by_a_wrong_clock(night: Night) -> str:
    """The machine's clock is far ahead: nothing may go that is not old."""
    site, clock = night.site, make_clock(night.folder, "clock", AHEAD)
    before = _count_kept(site)
    pushed = site.run("push-blaster", "prune", **clock.environment)
    cadence = site.run("cadence-service", "prune", **clock.environment)
    assert pushed.code == 0, pushed
    assert pushed.last.startswith("Removed 0 executions, 0 folders of audiences"), pushed
    assert cadence.code == 0, cadence
    assert cadence.last.startswith("Dropped 0 weeks"), cadence
    assert _count_kept(site) >= before
    return f"{AHEAD.days} days ahead: {pushed.last.partition(',')[0]}; {cadence.last[:15]}"


def _count_kept(site: Site) -> tuple[int, int]:
    """Return how many executions, and how many sends of the history, there are."""
    ((executions,),) = site.stack.ledger("SELECT count(*) FROM executions")
    ((sends,),) = site.stack.history("SELECT count(*) FROM user_notifications")
    return executions, sends


def rotate(night: Night) -> str:
    """Rotate every token and the key of Firebase, while callers and services use them."""
    site, settings = night.site, night.site.stack.environment
    old_own, old_admin = night.sender.token, settings["PUSH_ADMIN_TOKEN"]
    rotated = night.sender.ask("POST", "/api/tokens/night/rotate", {"overlapMinutes": 60})
    night.sender.token = rotated.json()["token"]
    _rotate_settings(night)
    tokens = (old_own, night.sender.token, settings["PUSH_ADMIN_TOKEN"], old_admin)
    codes = [site.ask("/api/tokens", token).status_code for token in tokens]
    assert codes == [200, 200, 200, 401], codes
    night.await_messages(FEW)
    return "the old token of a program still works, the old token of the settings gets 401"


def _rotate_settings(night: Night) -> None:
    """Change the tokens of both services and the key of the provider, in the documents' order."""
    site, settings = night.site, night.site.stack.environment
    private, public = make_key()
    new = {f"PUSH_{role}_TOKEN": f"{role}-token-of-the-morning" for role in ROLES}
    token = {"CADENCE_API_TOKEN": "cadence-token-of-the-morning"}
    night.google.public_key = None  # Google knows the first key and the second one
    site.own[Kind.CADENCE] = {"CADENCE_SERVICE_TOKEN": settings["CADENCE_API_TOKEN"], **token}
    site.restart_all(Kind.CADENCE)
    settings |= {**new, **token, "FIREBASE_PRIVATE_KEY": private.replace("\n", "\\n")}
    site.restart_all(Kind.WEB, Kind.ENGINE)
    del site.own[Kind.CADENCE]
    site.restart_all(Kind.CADENCE)
    night.google.public_key = public


def lose_one_of_each(night: Night) -> str:
    """kill -9 of a cadence replica, a web and an engine: the others carry on, and health tells."""
    site, said = night.site, []
    for kind, number in site.parts[::EACH]:
        site.kill(kind, number)
        night.await_messages(FEW)
        health = site.wait_for_engines(EACH - 1 if kind is Kind.ENGINE else EACH)
        expected = "degraded" if kind is Kind.ENGINE else "healthy"
        assert health["status"] == expected, health
        said.append(f"one {kind} less: {health['status']}")
        assert not site.is_well(kind, number)
        site.start(kind, number)
    site.wait_for_engines(EACH)
    return "; ".join(said)


NIGHT: Final = (
    Step("install", install),
    Step("back up", back_up),
    Step("migrate beside a long reader", migrate),
    Step("replace every process", replace_all),
    Step("go back", go_back),
    Step("prune by a wrong clock", prune_by_a_wrong_clock),
    Step("rotate all tokens", rotate),
    Step("lose one of each kind", lose_one_of_each),
    Step("restore elsewhere", restore_elsewhere),
)
#: What a check can afford; what is lost comes back as the next version, beside the one before.
SHORT_NIGHT: Final = tuple(NIGHT[number] for number in (0, 1, 2, 5, 7))
