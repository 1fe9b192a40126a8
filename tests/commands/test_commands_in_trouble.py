"""Every command tells a fault outside of it in one line that names the fix."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result

from cadence_service.cli import main as cadence_service
from local_stack.cli import main as local_stack
from local_stack.embedded_postgres import EmbeddedPostgres
from push_backup.cli import main as push_backup
from push_blaster.cli import main as push_blaster

PROGRAMS: Final = {
    "push-blaster": push_blaster,
    "cadence-service": cadence_service,
    "push-backup": push_backup,
    "local-stack": local_stack,
}
SECRETS: Final = Path(__file__).parents[2] / "deploy" / "secrets"
#: Commands that ask a database and end.
ASKING: Final = (
    "push-blaster prune",
    "push-blaster prune --dry-run",
    "push-blaster token list",
    "push-blaster token create ann --role viewer",
    "push-blaster token revoke ann",
    "push-blaster import-devices {devices}",
    "push-blaster migrate-original {original}",
    "cadence-service prune",
    "cadence-service prune --dry-run",
)
#: Commands that read the settings of their service.
READING: Final = (
    *ASKING,
    "push-blaster serve",
    "push-blaster engine",
    "push-blaster migrate",
    "cadence-service serve",
    "cadence-service migrate",
    "push-backup save {folder}/backup",
    "push-backup restore {folder}",
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings that fit; nothing listens at the databases' port."""
    for name, value in {
        "PUSH_BLASTER_DATABASE_URL": "postgresql://push:hidden-word@127.0.0.1:9/push",
        "PUSH_CADENCE_DATABASE_URL": "postgresql://push:hidden-word@127.0.0.1:9/cadence",
        "PUSH_DATA_DIR": str(tmp_path / "data"),
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        "CADENCE_API_TOKEN": "token-of-the-tests-too",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def run(command: str, folder: Path) -> Result:
    devices = folder / "devices.csv"
    devices.write_text("user_id,token\n")
    (folder / "original" / ".automations").mkdir(parents=True, exist_ok=True)
    places = {"devices": devices, "original": folder / "original", "folder": folder}
    program, *arguments = command.format(**places).split()
    return CliRunner().invoke(PROGRAMS[program], arguments, prog_name=program)


def said_in_one_line(result: Result) -> str:
    """Return the error of a command that ended as a person expects."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    _, found, error = result.output.partition("Error: ")
    assert found, result.output
    assert "hidden-word" not in result.output
    assert "Traceback" not in result.output
    return error.strip()


@pytest.mark.parametrize("command", ASKING)
def test_a_database_that_is_away(command: str, settings: object, tmp_path: Path) -> None:
    assert "The database is away" in said_in_one_line(run(command, tmp_path))


@pytest.fixture
def empty_databases(settings: pytest.MonkeyPatch, postgres: EmbeddedPostgres) -> Mapping[str, str]:
    names = ("PUSH_BLASTER_DATABASE_URL", "PUSH_CADENCE_DATABASE_URL")
    urls = {name: postgres.create_database(f"commands_{uuid4().hex[:8]}") for name in names}
    for name, url in urls.items():
        settings.setenv(name, url)
    return urls


@pytest.mark.parametrize("command", ASKING)
def test_a_database_that_is_not_migrated(
    command: str, empty_databases: object, tmp_path: Path
) -> None:
    error = said_in_one_line(run(command, tmp_path))

    assert "The database is not migrated" in error
    assert error.endswith(f"Run: {command.split()[0]} migrate")


@pytest.mark.parametrize("program", ["push-blaster", "cadence-service"])
def test_a_database_that_a_newer_version_migrated(
    program: str, empty_databases: Mapping[str, str], tmp_path: Path
) -> None:
    for url in empty_databases.values():
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")

    error = said_in_one_line(run(f"{program} migrate", tmp_path))

    assert "newer" in error
    assert "9999" in error


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("url", ["notaurl", "ftp://push:hidden-word@h/x", "postgresql://h:70000/x"])
def test_a_database_url_that_is_none(
    command: str, url: str, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.setenv("PUSH_BLASTER_DATABASE_URL", url)
    settings.setenv("PUSH_CADENCE_DATABASE_URL", url)

    assert "DATABASE_URL is no URL such as postgresql://" in said_in_one_line(
        run(command, tmp_path)
    )


@pytest.mark.parametrize("command", [c for c in READING if c.startswith("push-blaster")])
def test_a_file_where_the_data_folder_should_be(
    command: str, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("")

    assert "PUSH_DATA_DIR is " in said_in_one_line(run(command, tmp_path))


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("push-blaster serve", "PUSH_PORT", "99999"),
        ("push-blaster serve", "PUSH_PORT", "http"),
        ("push-blaster engine", "PUSH_ENGINE_METRICS_PORT", "-1"),
        ("push-blaster serve", "PUSH_TRUSTED_PROXIES", "-1"),
        ("push-blaster serve", "PUSH_COOKIE_SECURE", "perhaps"),
        ("push-blaster engine", "PUSH_APPROVAL_ABOVE_USERS", "many"),
        ("push-blaster engine", "PUSH_KEEP_DAYS", "99999999999"),
        ("push-blaster engine", "CADENCE_SERVICE_URL", "localhost:3002"),
        ("push-blaster engine", "CADENCE_SERVICE_URL", "http://localhost:99999"),
        ("cadence-service serve", "CADENCE_PORT", "0"),
        ("local-stack run", "PUSH_PORT", "99999"),
    ],
)
def test_a_setting_that_does_not_fit(
    command: str, name: str, value: str, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.setenv(name, value)

    assert name in said_in_one_line(run(command, tmp_path))


def test_all_settings_that_do_not_fit_are_in_one_message(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = {"PUSH_PORT": "0", "PUSH_KEEP_DAYS": "x", "PUSH_ADMIN_TOKEN": "change-me"}
    for name, value in wrong.items():
        settings.setenv(name, value)
    settings.delenv("PUSH_BLASTER_DATABASE_URL")

    result = run("push-blaster serve", tmp_path)

    assert result.exit_code == 1
    assert all(name in result.output for name in (*wrong, "PUSH_BLASTER_DATABASE_URL"))


#: Each setting of push-blaster that is a URL.
URLS: Final = (
    *("CADENCE_SERVICE_URL", "FCM_BASE_URL", "FCM_TOKEN_URI", "WEBPUSH_SUBJECT"),
    *("PUSH_ALERT_WEBHOOK_URL", "PUSH_ALERT_TEST_WEBHOOK_URL", "PUSH_HEARTBEAT_URL"),
    *("PUSH_DEVICE_SOURCE_URL", "PUSH_PUBLIC_URL", "APNS_BASE_URL", "APNS_SANDBOX_URL"),
)


@pytest.mark.parametrize("url", ["notaurl", "ftp://x", "http://", "https://a b"])
@pytest.mark.parametrize("name", URLS)
def test_a_url_that_is_none(
    name: str, url: str, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.setenv(name, url)

    assert said_in_one_line(run("push-blaster engine", tmp_path)).startswith(f"{name} is ")


def test_every_setting_that_is_a_url_is_tried_above() -> None:
    written = (Path(__file__).parents[2] / "deploy" / "env.example").read_text()
    names = set(re.findall(r"^(?:# )?([A-Z_]+_UR[LI])=", written, re.MULTILINE))

    assert {name for name in names if "DATABASE" not in name} == set(URLS) - {"WEBPUSH_SUBJECT"}


EXAMPLES: Final = {
    path: dict(re.findall(r"^([A-Z_]+)=(.*change-me.*)$", path.read_text(), re.MULTILINE))
    for path in (SECRETS.parent / "env.example", *SECRETS.iterdir())
}


@pytest.mark.parametrize(
    "path", [p for p, found in EXAMPLES.items() if found], ids=lambda p: p.name
)
def test_what_an_example_says_to_change_is_refused(
    path: Path, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process reads the example of its own secrets; a password of PostgreSQL is in its URL."""
    is_cadence = path.name.startswith("cadence")
    url = "PUSH_CADENCE_DATABASE_URL" if is_cadence else "PUSH_BLASTER_DATABASE_URL"
    refused = set()
    for name, value in EXAMPLES[path].items():
        is_password = name.endswith("PASSWORD")
        settings.setenv(*(url, f"postgresql://x:{value}@x/x") if is_password else (name, value))
        refused.add(url if is_password else name)

    error = said_in_one_line(
        run(f"{'cadence-service' if is_cadence else 'push-blaster'} serve", tmp_path)
    )

    assert {name for name in refused if f"{name} is a placeholder" in error} == refused


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("push-blaster serve", "PUSH_PORT"),
        ("push-blaster engine", "PUSH_ENGINE_METRICS_PORT"),
        ("cadence-service serve", "CADENCE_PORT"),
    ],
)
def test_a_port_that_is_taken(
    command: str, name: str, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings.setenv(name, str(port))
        error = said_in_one_line(run(command, tmp_path))

    assert error.startswith(f"{name} is {port}, and nothing can listen on 127.0.0.1:{port}")


def test_a_port_that_is_taken_is_told_beside_all_other_faults(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = {
        "PUSH_ADMIN_TOKEN": "change-me",
        "PUSH_OPERATOR_TOKEN": "token-of-a-person",
        "PUSH_VIEWER_TOKEN": "token-of-a-person",
        "PUSH_HEARTBEAT_URL": "notaurl",
        "CADENCE_SERVICE_URL": "ftp://x",
        "PUSH_PORT": "99999",
    }
    for name, value in wrong.items():
        settings.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.setenv("PUSH_ENGINE_METRICS_PORT", str(taken.getsockname()[1]))
        error = said_in_one_line(run("push-blaster engine", tmp_path))

    assert [name for name in (*wrong, "PUSH_ENGINE_METRICS_PORT") if name not in error] == []


@pytest.mark.parametrize(
    ("program", "equal"),
    [
        ("push-blaster", ("PUSH_VIEWER_TOKEN", "PUSH_ADMIN_TOKEN")),
        ("push-blaster", ("PUSH_VIEWER_TOKEN", "PUSH_OPERATOR_TOKEN")),
        ("push-blaster", ("PUSH_OPERATOR_TOKEN", "CADENCE_API_TOKEN")),
        ("cadence-service", ("CADENCE_SERVICE_TOKEN", "CADENCE_API_TOKEN")),
    ],
)
def test_tokens_that_equal_each_other_are_refused(
    program: str, equal: Sequence[str], settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in equal:
        settings.setenv(name, "a-token-for-two")

    error = said_in_one_line(run(f"{program} serve", tmp_path))

    assert "are the same; each needs a token of its own" in error
    assert [name for name in equal if name not in error] == []


@pytest.mark.parametrize("arguments", [("plan", "{folder}"), ("import-devices", "{folder}/none")])
def test_a_path_that_is_no_file_is_named(arguments: Sequence[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(push_blaster, [a.format(folder=tmp_path) for a in arguments])

    assert result.exit_code == 2
    assert str(tmp_path) in result.output


def test_ctrl_c_ends_a_command_that_waits_in_one_line(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waiting = subprocess.Popen(
        [Path(sys.executable).with_name("push-blaster"), "migrate"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A process in the background of a shell would not hear it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert waiting.stdout
        assert any("database_awaited" in line for line in waiting.stdout)

        waiting.send_signal(signal.SIGINT)
        told, _ = waiting.communicate(timeout=20)
    finally:
        waiting.kill()

    assert waiting.returncode == 1
    assert told.splitlines()[-1] == "Aborted!"
    assert "Traceback" not in told
