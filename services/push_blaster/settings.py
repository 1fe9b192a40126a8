"""The settings of push_blaster, read from the environment once, at the start."""

import os
import pwd
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from environs import Env, EnvError, validate

from chassis.bearer_auth import Role
from chassis.logs import LogFormat
from chassis.settings import (
    ORPHANS,
    SettingsError,
    SettingsReader,
    read_count,
    read_days,
    read_flag,
    read_keys,
    read_log_format,
    read_optional_count,
    read_optional_port,
    read_optional_url,
    read_origins,
    read_port,
    read_seconds,
    read_secret,
    read_tokens,
    read_url,
    require_database_url,
)
from push_blaster.alert_settings import AlertSettings, read_alert_settings
from push_blaster.delivery_settings import DeliverySettings, read_delivery_settings
from push_blaster.domain.access.person import MAX_NAME, show_name
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.retry import RetryPolicy
from push_blaster.domain.engagement.event import MAX_EVENTS
from push_blaster.domain.executions.limits import Limits, ScriptLimits
from push_blaster.domain.number_words import number_of
from push_blaster.domain.operations.retention import KEPT, MIN_AUDIT, MIN_EVENTS, Retention
from push_blaster.domain.zones import find_zone
from push_blaster.identity_settings import (
    IdentitySettings,
    read_identity_settings,
    read_public_url,
)

MIGRATIONS: Final = Path(__file__).parent / "migrations"


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
    timezone: str = "UTC"
    cookie_secure: bool = False
    trusted_proxies: int = 0
    filter_script: str | None = None
    send_wait: timedelta = timedelta(seconds=10)
    metrics_open: bool = False
    retention: Retention = KEPT
    events_per_minute: int = 30_000
    expected_engines: int | None = None
    expected_webs: int | None = None
    token_owners: Mapping[Role, str] = field(default_factory=dict)
    public_url: str | None = None
    identity: IdentitySettings | None = None
    identity_keys: Sequence[str] = ()
    allowed_origins: Collection[str] = ()

    @classmethod
    def from_environ(cls, listens_on: str | None = None) -> "PushSettings":
        """Read every setting; SettingsError names all that are missing or do not fit.

        Shape: `listens_on` is the setting of the port on which this process will listen.
        """
        read = SettingsReader()
        required = ("PUSH_ADMIN_TOKEN", _CADENCE)
        tokens = read(read_tokens, required, tuple(_ROLES), may_be_equal=required) or {}
        public_url = read(read_public_url)
        settings = cls(
            database_url=read(require_database_url, "PUSH_BLASTER_DATABASE_URL"),
            database_pool_size=read(read_count, "PUSH_DATABASE_POOL_SIZE", 16),
            data_folder=read(_data_folder),
            cadence_url=read(read_url, "CADENCE_SERVICE_URL", "http://127.0.0.1:3002"),
            cadence_token=tokens.get(_CADENCE, ""),
            tokens={tokens[name]: role for name, role in _ROLES.items() if name in tokens},
            host=read.env.str("PUSH_HOST", "127.0.0.1"),
            port=read(read_port, "PUSH_PORT", 3001),
            web_workers=read(read_count, "PUSH_WEB_WORKERS", 2),
            timezone=read(_zone),
            cookie_secure=read(read_flag, "PUSH_COOKIE_SECURE"),
            trusted_proxies=read(read_count, "PUSH_TRUSTED_PROXIES", 0, least=0),
            log_format=read_log_format(read.env),
            delivery=read_delivery_settings(read),
            alerts=read_alert_settings(read),
            engine=_engine(read),
            filter_script=read.env.str("PUSH_FILTER_SCRIPT", None),
            send_wait=read(read_seconds, "PUSH_SEND_WAIT_SECONDS", 10, may_be_zero=True),
            metrics_open=read(read_flag, "METRICS_OPEN"),
            retention=_retention(read),
            events_per_minute=read(read_count, "PUSH_EVENTS_PER_MINUTE", 30_000, least=MAX_EVENTS),
            expected_engines=read(read_optional_count, "PUSH_EXPECTED_ENGINES", least=1),
            expected_webs=read(read_optional_count, "PUSH_EXPECTED_WEBS", least=1),
            token_owners=_token_owners(read),
            public_url=public_url,
            identity=read_identity_settings(read, public_url),
            identity_keys=read(read_keys, "PUSH_IDENTITY_KEY", tokens.values()),
            allowed_origins=read(read_origins, "PUSH_ALLOWED_ORIGINS"),
        )
        if listens_on == "PUSH_PORT":
            read.check_port(listens_on, settings.host, settings.port, ORPHANS)
        elif listens_on:
            read.check_port(listens_on, settings.host, settings.engine.metrics_port)
        read.finish()
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSettings:
    """The settings of the command prune, which needs no token."""

    database_url: str
    data_folder: Path
    log_format: LogFormat
    retention: Retention

    @classmethod
    def from_environ(cls) -> "PruneSettings":
        """Read these settings; SettingsError names all that are missing or do not fit."""
        read = SettingsReader()
        settings = cls(
            database_url=read(require_database_url, "PUSH_BLASTER_DATABASE_URL"),
            data_folder=read(_data_folder),
            log_format=read_log_format(read.env),
            retention=_retention(read),
        )
        read.finish()
        return settings


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


def _zone(env: Env) -> str:
    name = env.str("PUSH_TIMEZONE", None) or "UTC"
    if find_zone(name) is None:
        raise SettingsError(
            f"PUSH_TIMEZONE is {name!r}, which is no time zone; use a name such as Europe/Vienna."
        )
    return name


_CADENCE: Final = "CADENCE_API_TOKEN"
#: The tokens of push_blaster.
_ROLES: Final[Mapping[str, Role]] = {
    "PUSH_VIEWER_TOKEN": Role.VIEWER,
    "PUSH_OPERATOR_TOKEN": Role.OPERATOR,
    "PUSH_ADMIN_TOKEN": Role.ADMIN,
}


def _token_owners(read: SettingsReader) -> Mapping[Role, str]:
    found = {
        Role.VIEWER: read(_read_owner, "PUSH_VIEWER_TOKEN_OWNER"),
        Role.OPERATOR: read(_read_owner, "PUSH_OPERATOR_TOKEN_OWNER"),
        Role.ADMIN: read(_read_owner, "PUSH_ADMIN_TOKEN_OWNER"),
    }
    return {role: owner for role, owner in found.items() if owner}


def _read_owner(env: Env, name: str) -> str | None:
    owner = env.str(name, None) or None
    if owner and owner != show_name(owner):
        raise SettingsError(
            f"{name} is {owner!r}; use a name of at most {MAX_NAME} visible characters."
        )
    return owner


#: The variables of our environment that every audience script sees.
SCRIPTS_SEE: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


#: The variables of our environment that the process of a preparation sees: it asks cadence, and it
#: asks our database who opted out.
PREPARATIONS_SEE: Final = (
    *("HOME", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE"),
    *("PGSERVICEFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"),
    *("LANG", "LC_ALL", "LC_CTYPE", "PYTHONTZPATH", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


def _see(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _script_limits(read: SettingsReader) -> ScriptLimits:
    named = (*SCRIPTS_SEE, *read.env.list("PUSH_SCRIPT_ENVIRONMENT", []))
    return ScriptLimits(
        time=read(read_seconds, "PUSH_SCRIPT_TIMEOUT_SECONDS", 300),
        memory_mb=read(read_count, "PUSH_SCRIPT_MEMORY_MB", 2_048),
        output_mb=read(read_count, "PUSH_SCRIPT_OUTPUT_MB", 4_096),
        output_files=read(read_count, "PUSH_SCRIPT_OUTPUT_FILES", 1_000),
        environment=_see(named),
        user=read(_script_user),
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


def _engine(read: SettingsReader) -> EngineSettings:
    return EngineSettings(
        concurrent_executions=read(read_count, "PUSH_MAX_CONCURRENT_EXECUTIONS", 10),
        concurrent_batches=read(read_count, "PUSH_MAX_CONCURRENT_BATCHES", 8),
        rate_per_minute=read(read_count, "PUSH_RATE_PER_MINUTE", 570_000),
        ramp=read(read_seconds, "PUSH_RAMP_SECONDS", 60, may_be_zero=True),
        dead_after=read(read_seconds, "PUSH_ENGINE_DEAD_AFTER_SECONDS", 6),
        metrics_port=read(read_optional_port, "PUSH_ENGINE_METRICS_PORT"),
        limits=_limits(read),
    )


def _limits(read: SettingsReader) -> Limits:
    return Limits(
        batch_size=read(read_count, "PUSH_BATCH_SIZE", 2_500),
        retry=RetryPolicy(
            backoff=read(read_seconds, "PUSH_RETRY_BACKOFF_SECONDS", 20),
            budget=read(read_seconds, "PUSH_RETRY_BUDGET_SECONDS", 600),
        ),
        max_audience_size=read(read_count, "PUSH_MAX_AUDIENCE_SIZE", 100_000),
        preparation_memory_mb=read(read_count, "PUSH_PREPARATION_MEMORY_MB", 1_024, least=256),
        preparation_environment=_see(PREPARATIONS_SEE),
        min_window=read(
            read_seconds, "PUSH_MIN_CANCELLATION_WINDOW_SECONDS", 300, may_be_zero=True
        ),
        max_manual_users=read(read_count, "PUSH_MAX_MANUAL_USER_IDS", 5),
        push_time_limit=read(read_seconds, "PUSH_TIME_LIMIT_SECONDS", 14_400),
        approval_above=read(read_optional_count, "PUSH_APPROVAL_ABOVE_USERS"),
        script=_script_limits(read),
        test_lead=read(read_seconds, "PUSH_TEST_LEAD_SECONDS", 180),
        test_window=read(read_seconds, "PUSH_TEST_WINDOW_SECONDS", 120),
        test_gap=read(read_seconds, "PUSH_TEST_GAP_SECONDS", 10),
        links=LinkPolicy(
            schemes=frozenset(read.env.list("PUSH_DEEP_LINK_SCHEMES", ["https"])),
            hosts=frozenset(read.env.list("PUSH_DEEP_LINK_HOSTS", [])),
        ),
        holdout_percent=read(read_percent, "PUSH_GLOBAL_HOLDOUT_PERCENT"),
        min_free_mb=read(read_count, "PUSH_MIN_FREE_MB", 256),
        late_after=read(read_seconds, "PUSH_LATE_AFTER_SECONDS", 10),
    )


def _retention(read: SettingsReader) -> Retention:
    events = read(read_days_at_least, "PUSH_KEEP_EVENTS_DAYS", KEPT.events, MIN_EVENTS)
    return Retention(
        executions=read(read_days, "PUSH_KEEP_DAYS", KEPT.executions),
        audiences=read(read_days, "PUSH_KEEP_AUDIENCES_DAYS", KEPT.audiences),
        dead_devices=read(read_days, "PUSH_KEEP_DEAD_DEVICES_DAYS", KEPT.dead_devices),
        audit_log=read(read_days_at_least, "PUSH_KEEP_AUDIT_DAYS", KEPT.audit_log, MIN_AUDIT),
        versions=read(read_days, "PUSH_KEEP_VERSIONS_DAYS", KEPT.versions),
        events=events,
        results=read(
            read_days_at_least, "PUSH_KEEP_RESULTS_DAYS", KEPT.results, events or MIN_EVENTS
        ),
    )


def read_days_at_least(env: Env, name: str, usual: timedelta, least: timedelta) -> timedelta:
    """Return the retention `name`; SettingsError if it is shorter than `least`."""
    kept = read_days(env, name, usual)
    if kept < least:
        raise SettingsError(f"{name} is {kept.days}; use {number_of(least.days, 'day')} or more.")
    return kept


def read_percent(env: Env, name: str) -> float:
    """Return the percentage `name`, 0 if it is not set; SettingsError if it is no percentage."""
    try:
        return env.float(name, 0.0, validate=validate.Range(min=0, max=100))
    except EnvError as error:
        raise SettingsError(f"{name} is {env.str(name)!r}; use a number from 0 to 100.") from error


def read_limits() -> Limits:
    """Return the limits that hold for every automation; SettingsError names what does not fit."""
    read = SettingsReader()
    limits = _limits(read)
    read.finish()
    return limits


def read_cadence_access() -> tuple[str, str] | None:
    """Return the address of the cadence service and its token; None unless both are set."""
    env = Env()
    url, token = read_optional_url(env, "CADENCE_SERVICE_URL"), read_secret(env, _CADENCE)
    return (url, token) if url and token else None
