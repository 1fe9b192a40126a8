"""Each process gets its own secrets only, and little of the machine."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import find_program

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OURS = sorted(SERVICES.keys() - {"postgres"})
#: The exposure that systemd sees, from 0 to 10; a unit without any of our lines has 9.6.
MOST_EXPOSED = 2.0
#: The secrets of which a process must know nothing.
FOREIGN = {
    "cadence": "PUSH_(?!CADENCE_)|FIREBASE|WEBPUSH|WEBHOOK",
    "cadence-prune": "PUSH_(?!CADENCE_)|TOKEN|FIREBASE|WEBPUSH|WEBHOOK",
    "push-prune": "CADENCE|TOKEN|PUSH_OIDC|FIREBASE|WEBPUSH|WEBHOOK",
    "push-backup": "TOKEN|PUSH_OIDC|FIREBASE|WEBPUSH|WEBHOOK",
    "push-web": "PUSH_CADENCE_DATABASE_URL|CADENCE_SERVICE_TOKEN|ALERT|HEARTBEAT",
    "push-engine": "PUSH_OIDC|PUSH_CADENCE_DATABASE_URL|CADENCE_SERVICE_TOKEN",
}


def secrets_of(name: str) -> list[str]:
    text = (DEPLOY / "secrets" / f"{name}.secrets.example").read_text()
    return re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_gets_the_settings_of_all_and_the_secrets_of_itself(unit: Path) -> None:
    files = re.findall("^EnvironmentFile=(.+)$", unit.read_text(), re.MULTILINE)

    assert files == ["/etc/push-automation/env", f"/etc/push-automation/{unit.stem}.secrets"]
    assert secrets_of(unit.stem)
    assert [s for s in secrets_of(unit.stem) if re.match(FOREIGN[unit.stem], s)] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_writes_is_readable_for_its_user_only(unit: Path) -> None:
    assert "\nUMask=0077\n" in unit.read_text()


def test_every_secret_is_a_setting_and_every_token_and_key_is_a_secret() -> None:
    settings = re.findall(r"^(?:# )?([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    secret = {name for unit in UNITS for name in secrets_of(unit.stem)}

    assert secret <= set(settings)
    like_secrets = re.compile(r".*_(TOKEN|PRIVATE_KEY|SECRET|DATABASE_URL)")
    assert {name for name in settings if like_secrets.fullmatch(name)} <= secret


@pytest.mark.systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_sees_little_exposure(unit: Path) -> None:
    analyze = find_program("systemd-analyze", "REQUIRE_SYSTEMD")

    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)

    print(done.stdout)  # noqa: T201 - what the operator may want to see
    assert said, done.stderr
    assert float(said[1]) <= MOST_EXPOSED


@pytest.mark.systemd
def test_an_engine_that_runs_scripts_as_another_user_may_make_the_calls_for_it() -> None:
    analyze = find_program("systemd-analyze", "REQUIRE_SYSTEMD")
    unit = (DEPLOY / "systemd" / "push-engine.service").read_text()
    allowed = "".join(re.findall("^#   SystemCallFilter=(.+)$", unit, re.MULTILINE)).split()
    groups = [name for name in allowed if name.startswith("@")]

    listed = subprocess.run(
        [analyze, "--no-pager", "syscall-filter", *groups],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    calls = {"chown", "setfsuid", "setgid", "setgroups", "setuid"}
    assert calls <= {*listed.split(), *allowed}


@pytest.mark.parametrize("name", OURS)
def test_a_container_has_no_capability_and_writes_where_it_is_named(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    writable = {volume.split(":")[1] for volume in service.get("volumes", [])}
    assert {Path(path).parent for path in writable} <= {Path("/var/lib/push-automation")}


def known_to(name: str) -> set[str]:
    """Return the variables that a container of compose gets, but for the settings of all."""
    service = SERVICES[name]
    files = [file for file in service["env_file"] if file != "env"]
    texts = [(DEPLOY / f"{file}.example").read_text() for file in files]
    named = re.findall(r"^(?:# )?([A-Z_]+)=", "\n".join(texts), re.MULTILINE)
    return {*named, *service.get("environment", {})}


def test_each_container_gets_the_secrets_of_its_process_and_no_other() -> None:
    secrets = {name: SERVICES[name]["env_file"] for name in SERVICES}

    assert secrets == {
        "postgres": ["secrets/postgres.secrets"],
        "cadence": ["env", "secrets/cadence.secrets"],
        "migrate-cadence": ["env", "secrets/cadence.secrets"],
        "engine": ["env", "secrets/push-engine.secrets"],
        "web": ["env", "secrets/push-web.secrets"],
        "migrate-push": ["env", "secrets/push-web.secrets"],
        "nightly": ["env", "secrets/push-backup.secrets"],
    }


def test_only_the_backup_of_both_knows_both_databases_and_only_senders_know_keys() -> None:
    push, cadence = "PUSH_BLASTER_DATABASE_URL", "PUSH_CADENCE_DATABASE_URL"

    databases = {name: {v for v in known_to(name) if v.endswith("DATABASE_URL")} for name in OURS}
    senders = {name for name in OURS if "FIREBASE_PRIVATE_KEY" in known_to(name)}

    assert databases == {
        "cadence": {cadence},
        "migrate-cadence": {cadence},
        "engine": {push},
        "web": {push},
        "migrate-push": {push},
        "nightly": {push, cadence},
    }
    assert senders == {"engine", "web", "migrate-push"}


def test_no_container_gets_the_password_of_the_superuser_but_the_server_itself() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    shared = (DEPLOY / "env.example").read_text()

    of_databases = {
        name: {v for v in known_to(name) if "PASSWORD" in v} - {"PUSH_SMTP_PASSWORD"}
        for name in OURS
    }
    assert not any(of_databases.values()), of_databases
    assert known_to("postgres") == {
        "POSTGRES_PASSWORD",
        "PUSH_BLASTER_PASSWORD",
        "CADENCE_PASSWORD",
    }
    assert re.findall(r"\w*PASSWORD", shared) == ["PUSH_SMTP_PASSWORD"]
    assert "${" not in compose


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("secrets/*.example")), ids=lambda f: f.stem)
def test_a_url_of_a_database_names_the_role_of_that_database(file: Path) -> None:
    urls = re.findall(r"_DATABASE_URL=postgresql://(\w+):\w+@[\w.]+/(\w+)", file.read_text())

    assert all(role == database for role, database in urls), urls
    assert len(urls) == file.read_text().count("DATABASE_URL=")


def test_nginx_keeps_queries_and_tokens_of_devices_out_of_its_log() -> None:
    configuration = (DEPLOY / "nginx" / "push.conf").read_text()
    logged = "".join(re.findall(r"log_format push (.*?);", configuration, re.DOTALL))

    assert "$logged_path" in logged
    assert re.search(r"\$(request|request_uri|args|query_string|http_\w+)\b", logged) is None
    assert "proxy_set_header X-Forwarded-Host $host;" in configuration
    assert re.search(r"location = /sign-in {\s+client_max_body_size 8k;", configuration)
