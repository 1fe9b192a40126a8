"""The settings of a cadence service that a test makes, but for what matters to the test."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from cadence_service.settings import CadenceSettings
from chassis.bearer_auth import Role

#: An administrator's.
CADENCE_TOKEN = "cadence-admin-token"


def cadence_settings(database_url: str, **changes: Any) -> CadenceSettings:
    settings = CadenceSettings(
        database_url=database_url,
        database_pool_size=16,
        tokens={CADENCE_TOKEN: Role.ADMIN, "narrow": Role.OPERATOR},
        host="127.0.0.1",
        port=0,
        workers=1,
        keep_days=90,
        statement_timeout=timedelta(seconds=30),
        log_format="json",
    )
    return replace(settings, **changes)
