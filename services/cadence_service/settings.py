"""The settings of the cadence service, from its environment; read once, at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from environs import Env

from cadence_service.domain.user_ids import LANES
from chassis.bearer_auth import Role
from chassis.http.request_classes import CAPACITIES, RequestClass
from chassis.logs import LogFormat
from chassis.settings import (
    ORPHANS,
    SettingsError,
    SettingsReader,
    read_count,
    read_flag,
    read_log_format,
    read_optional_count,
    read_port,
    read_seconds,
    read_tokens,
    require_database_url,
)

MIGRATIONS: Final = Path(__file__).parent / "migrations"
#: The threads of a worker that work on several connections each: checks and imports.
_GREEDY: Final = sum(
    CAPACITIES[kind].threads
    for kind in (RequestClass.CHECK, RequestClass.HUGE_CHECK, RequestClass.LARGE)
)
_OTHERS: Final = CAPACITIES[RequestClass.USUAL].threads
#: The connections that the threads of one worker need, so that no thread waits for another.
MIN_POOL_SIZE: Final = LANES * _GREEDY + _OTHERS

#: The tokens of the service.
_ROLES: Final[Mapping[str, Role]] = {
    "CADENCE_SERVICE_TOKEN": Role.OPERATOR,
    "CADENCE_API_TOKEN": Role.ADMIN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceSettings:
    """All settings of the cadence service."""

    database_url: str
    database_pool_size: int
    tokens: Mapping[str, Role]
    host: str
    port: int
    workers: int
    keep_days: int
    statement_timeout: timedelta
    log_format: LogFormat
    metrics_open: bool = False
    expected_replicas: int | None = None

    @classmethod
    def from_environ(cls, *, listens: bool = False) -> "CadenceSettings":
        """Read every setting; SettingsError names all that are missing or do not fit.

        Shape: a process that `listens` needs its port for itself.
        """
        read = SettingsReader()
        tokens = read(read_tokens, ("CADENCE_API_TOKEN",), tuple(_ROLES)) or {}
        settings = cls(
            database_url=read(require_database_url, "PUSH_CADENCE_DATABASE_URL"),
            database_pool_size=read(_read_pool_size),
            tokens={tokens[name]: role for name, role in _ROLES.items() if name in tokens},
            host=read.env.str("CADENCE_HOST", "127.0.0.1"),
            port=read(read_port, "CADENCE_PORT", 3002),
            workers=read(read_count, "CADENCE_WORKERS", 2),
            statement_timeout=read(read_seconds, "CADENCE_STATEMENT_TIMEOUT_SECONDS", 30),
            keep_days=read(read_count, "CADENCE_KEEP_DAYS", 90),
            log_format=read_log_format(read.env),
            metrics_open=read(read_flag, "METRICS_OPEN"),
            expected_replicas=read(read_optional_count, "CADENCE_EXPECTED_REPLICAS", least=1),
        )
        if listens:
            read.check_port("CADENCE_PORT", settings.host, settings.port, ORPHANS)
        read.finish()
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSettings:
    """The settings of the command prune, which needs no token."""

    database_url: str
    keep_days: int
    log_format: LogFormat

    @classmethod
    def from_environ(cls) -> "PruneSettings":
        """Read these settings; SettingsError names all that are missing or do not fit."""
        read = SettingsReader()
        settings = cls(
            database_url=read(require_database_url, "PUSH_CADENCE_DATABASE_URL"),
            keep_days=read(read_count, "CADENCE_KEEP_DAYS", 90),
            log_format=read_log_format(read.env),
        )
        read.finish()
        return settings


def _read_pool_size(env: Env) -> int:
    size = read_count(env, "CADENCE_DATABASE_POOL_SIZE", MIN_POOL_SIZE)
    if size < MIN_POOL_SIZE:
        raise SettingsError(
            f"CADENCE_DATABASE_POOL_SIZE is {size}, and {_GREEDY} threads of a worker need"
            f" {LANES} connections each, {_OTHERS} others one. Set"
            f" CADENCE_DATABASE_POOL_SIZE to {MIN_POOL_SIZE} or more, or leave it out."
        )
    return size
