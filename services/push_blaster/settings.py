"""The settings of push_blaster, read from the environment once, at the start."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from environs import Env, EnvError, validate

from chassis.bearer_auth import Role
from chassis.logs import LogFormat
from chassis.settings import (
    SettingsError,
    read_count,
    read_flag,
    read_seconds,
    read_secret,
    read_tokens,
    require_secret,
)
from push_blaster.delivery_settings import DeliverySettings, read_delivery_settings
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.retry import RetryPolicy
from push_blaster.domain.executions.limits import Limits, ScriptLimits
from push_blaster.domain.operations.alert import USUAL, AlertEvent
from push_blaster.domain.operations.retention import KEPT, MIN_AUDIT, Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How much one engine does at once, and its limits."""

    concurrent_executions: int
    concurrent_batches: int
    rate_per_minute: int
    ramp: timedelta
    dead_after: timedelta
    limits: Limits
    metrics_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """The webhooks for alerts, the events that they get, and the URL for heartbeats."""

    url: str | None = None
    test_url: str | None = None
    events: frozenset[AlertEvent] = USUAL
    heartbeat_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """All settings of push_blaster."""

    database_url: str
    database_pool_size: int
    data_folder: Path
    cadence_url: str
    cadence_token: str
    tokens: Mapping[str, Role]
    host: str
    port: int
    web_workers: int
    log_format: LogFormat
    delivery: DeliverySettings
    alerts: AlertSettings
    engine: EngineSettings
    cookie_secure: bool = False
    trusted_proxies: int = 0
    filter_script: str | None = None
    send_wait: timedelta = timedelta(seconds=10)
    metrics_open: bool = False
    retention: Retention = KEPT

    @classmethod
    def from_environ(cls) -> "PushSettings":
        """Read every setting; SettingsError names a setting that is missing or does not fit."""
        env = Env()
        tokens = read_tokens(env, ("PUSH_ADMIN_TOKEN", _CADENCE), tuple(_ROLES))
        return cls(
            database_url=require_secret(env, "PUSH_BLASTER_DATABASE_URL"),
            database_pool_size=read_count(env, "PUSH_DATABASE_POOL_SIZE", 16),
            data_folder=_data_folder(env),
            cadence_url=env.str("CADENCE_SERVICE_URL", "http://127.0.0.1:3002"),
            cadence_token=tokens[_CADENCE],
            tokens={tokens[name]: role for name, role in _ROLES.items() if name in tokens},
            host=env.str("PUSH_HOST", "127.0.0.1"),
            port=read_count(env, "PUSH_PORT", 3001),
            web_workers=read_count(env, "PUSH_WEB_WORKERS", 2),
            cookie_secure=env.bool("PUSH_COOKIE_SECURE", False),
            trusted_proxies=env.int("PUSH_TRUSTED_PROXIES", 0),
            log_format=_log_format(env),
            delivery=read_delivery_settings(env),
            alerts=_alerts(env),
            engine=_engine(env),
            filter_script=env.str("PUSH_FILTER_SCRIPT", None),
            send_wait=read_seconds(env, "PUSH_SEND_WAIT_SECONDS", 10, may_be_zero=True),
            metrics_open=read_flag(env, "METRICS_OPEN"),
            retention=_retention(env),
        )


def _data_folder(env: Env) -> Path:
    folder = env.str("PUSH_DATA_DIR", None)
    if not folder:
        raise SettingsError("PUSH_DATA_DIR is not set. Set it to the folder of the automations.")
    path = Path(folder)
    if not path.is_absolute():
        raise SettingsError(f"PUSH_DATA_DIR is {folder!r}; it must be an absolute path.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=path).close()
    except OSError as error:
        raise SettingsError(
            f"PUSH_DATA_DIR is {folder!r}, where nothing can be written ({error.strerror}). "
            "Give it a folder that lasts, and that web and engine may write to."
        ) from error
    return path


def _log_format(env: Env) -> LogFormat:
    return "console" if env.str("LOG_FORMAT", "json") == "console" else "json"


_CADENCE: Final = "CADENCE_API_TOKEN"
#: The tokens of push_blaster, from the weakest role on: of two equal tokens, the stronger counts.
_ROLES: Final[Mapping[str, Role]] = {
    "PUSH_VIEWER_TOKEN": Role.VIEWER,
    "PUSH_OPERATOR_TOKEN": Role.OPERATOR,
    "PUSH_ADMIN_TOKEN": Role.ADMIN,
}


#: The variables of our environment that every audience script sees.
SCRIPTS_SEE: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


def _script_limits(env: Env) -> ScriptLimits:
    named = (*SCRIPTS_SEE, *env.list("PUSH_SCRIPT_ENVIRONMENT", []))
    return ScriptLimits(
        time=read_seconds(env, "PUSH_SCRIPT_TIMEOUT_SECONDS", 300),
        memory_mb=read_count(env, "PUSH_SCRIPT_MEMORY_MB", 2_048),
        output_mb=read_count(env, "PUSH_SCRIPT_OUTPUT_MB", 4_096),
        output_files=read_count(env, "PUSH_SCRIPT_OUTPUT_FILES", 1_000),
        environment={name: os.environ[name] for name in named if name in os.environ},
        user=_script_user(env),
    )


def _script_user(env: Env) -> str | None:
    name = env.str("PUSH_SCRIPT_USER", None) or None
    try:
        if name:
            pwd.getpwnam(name)
    except KeyError as error:
        raise SettingsError(
            f"PUSH_SCRIPT_USER is {name!r}; this machine has no such user."
        ) from error
    return name


def _alerts(env: Env) -> AlertSettings:
    named = env.list("PUSH_ALERT_ON", sorted(USUAL))
    unknown = [name for name in named if name not in list(AlertEvent)]
    if unknown:
        raise SettingsError(
            f"PUSH_ALERT_ON names {unknown[0]!r}; use some of {', '.join(AlertEvent)}."
        )
    return AlertSettings(
        url=read_secret(env, "PUSH_ALERT_WEBHOOK_URL"),
        test_url=read_secret(env, "PUSH_ALERT_TEST_WEBHOOK_URL"),
        events=frozenset(map(AlertEvent, named)),
        heartbeat_url=read_secret(env, "PUSH_HEARTBEAT_URL"),
    )


def _engine(env: Env) -> EngineSettings:
    return EngineSettings(
        concurrent_executions=read_count(env, "PUSH_MAX_CONCURRENT_EXECUTIONS", 10),
        concurrent_batches=read_count(env, "PUSH_MAX_CONCURRENT_BATCHES", 8),
        rate_per_minute=read_count(env, "PUSH_RATE_PER_MINUTE", 570_000),
        ramp=read_seconds(env, "PUSH_RAMP_SECONDS", 60, may_be_zero=True),
        dead_after=read_seconds(env, "PUSH_ENGINE_DEAD_AFTER_SECONDS", 6),
        metrics_port=env.int("PUSH_ENGINE_METRICS_PORT", None),
        limits=Limits(
            batch_size=read_count(env, "PUSH_BATCH_SIZE", 2_500),
            retry=RetryPolicy(
                backoff=read_seconds(env, "PUSH_RETRY_BACKOFF_SECONDS", 20),
                budget=read_seconds(env, "PUSH_RETRY_BUDGET_SECONDS", 600),
            ),
            max_audience_size=read_count(env, "PUSH_MAX_AUDIENCE_SIZE", 100_000),
            preparation_memory_mb=read_count(
                env, "PUSH_PREPARATION_MEMORY_MB", 1_024, at_least=256
            ),
            min_window=read_seconds(
                env, "PUSH_MIN_CANCELLATION_WINDOW_SECONDS", 300, may_be_zero=True
            ),
            max_manual_users=read_count(env, "PUSH_MAX_MANUAL_USER_IDS", 5),
            push_time_limit=read_seconds(env, "PUSH_TIME_LIMIT_SECONDS", 14_400),
            approval_above=env.int("PUSH_APPROVAL_ABOVE_USERS", None),
            script=_script_limits(env),
            test_lead=read_seconds(env, "PUSH_TEST_LEAD_SECONDS", 180),
            test_window=read_seconds(env, "PUSH_TEST_WINDOW_SECONDS", 120),
            test_gap=read_seconds(env, "PUSH_TEST_GAP_SECONDS", 10),
            links=LinkPolicy(
                schemes=frozenset(env.list("PUSH_DEEP_LINK_SCHEMES", ["https"])),
                hosts=frozenset(env.list("PUSH_DEEP_LINK_HOSTS", [])),
            ),
            holdout_percent=read_percent(env, "PUSH_GLOBAL_HOLDOUT_PERCENT"),
            late_after=read_seconds(env, "PUSH_LATE_AFTER_SECONDS", 10),
        ),
    )


def _retention(env: Env) -> Retention:
    audit_days = read_count(env, "PUSH_KEEP_AUDIT_DAYS", KEPT.audit_log.days)
    if audit_days < MIN_AUDIT.days:
        raise SettingsError(
            f"PUSH_KEEP_AUDIT_DAYS is {audit_days}; the audit log is kept for {MIN_AUDIT.days} "
            "days or more."
        )
    return Retention(
        executions=timedelta(days=read_count(env, "PUSH_KEEP_DAYS", KEPT.executions.days)),
        audiences=timedelta(days=read_count(env, "PUSH_KEEP_AUDIENCES_DAYS", KEPT.audiences.days)),
        dead_devices=timedelta(
            days=read_count(env, "PUSH_KEEP_DEAD_DEVICES_DAYS", KEPT.dead_devices.days)
        ),
        audit_log=timedelta(days=audit_days),
    )


def read_percent(env: Env, name: str) -> float:
    """Return the percentage `name`, 0 if it is not set; SettingsError if it is no percentage."""
    try:
        return env.float(name, 0.0, validate=validate.Range(min=0, max=100))
    except EnvError as error:
        raise SettingsError(f"{name} is {env.str(name)!r}; use a number from 0 to 100.") from error


def read_cadence_access() -> tuple[str, str] | None:
    """Return the address of the cadence service and its token; None unless both are set."""
    env = Env()
    url, token = env.str("CADENCE_SERVICE_URL", None), read_secret(env, "CADENCE_API_TOKEN")
    return (url, token) if url and token else None
