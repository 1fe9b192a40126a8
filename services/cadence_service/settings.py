"""The settings of the cadence service, from its environment; read once, at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from environs import Env

from chassis.bearer_auth import Role
from chassis.logs import LogFormat
from chassis.settings import read_count, read_flag, read_seconds, read_secret, require_secret

#: Two connections for each of the 8 threads of a worker: none ever waits for another.
USUAL_POOL_SIZE: Final = 16


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

    @classmethod
    def from_environ(cls) -> "CadenceSettings":
        """Read every setting; SettingsError names a setting that is missing or does not fit."""
        env = Env()
        narrow = read_secret(env, "CADENCE_SERVICE_TOKEN")
        return cls(
            database_url=require_secret(env, "PUSH_CADENCE_DATABASE_URL"),
            database_pool_size=read_count(env, "CADENCE_DATABASE_POOL_SIZE", USUAL_POOL_SIZE),
            tokens={
                require_secret(env, "CADENCE_API_TOKEN"): Role.ADMIN,
                **({narrow: Role.OPERATOR} if narrow else {}),
            },
            host=env.str("CADENCE_HOST", "127.0.0.1"),
            port=read_count(env, "CADENCE_PORT", 3002),
            workers=read_count(env, "CADENCE_WORKERS", 2),
            statement_timeout=read_seconds(env, "CADENCE_STATEMENT_TIMEOUT_SECONDS", 30),
            keep_days=read_count(env, "CADENCE_KEEP_DAYS", 90),
            log_format="console" if env.str("LOG_FORMAT", "json") == "console" else "json",
            metrics_open=read_flag(env, "METRICS_OPEN"),
        )
