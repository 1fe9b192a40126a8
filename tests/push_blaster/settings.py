"""The settings of push_blaster in the tests."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from chassis.bearer_auth import Role
from push_blaster.alert_settings import AlertSettings
from push_blaster.delivery_settings import DeliverySettings
from push_blaster.domain.executions.limits import Limits
from push_blaster.settings import EngineSettings, PushSettings

#: Keys of identity tokens: the one of new tokens, and the one from before a rotation.
IDENTITY_KEY: Final = "a-key-of-identity-tokens-of-the-tests"
OLD_IDENTITY_KEY: Final = "an-older-key-of-identity-tokens-of-tests"
#: The origin of the pages that may call with identity tokens.
SHOP: Final = "https://shop.test"


def settings_for(database_url: str, data_folder: Path) -> PushSettings:
    return PushSettings(
        database_url=database_url,
        database_pool_size=8,
        data_folder=data_folder,
        cadence_url="http://127.0.0.1:1",
        cadence_token="t",
        tokens={role.name.lower(): role for role in Role},
        host="127.0.0.1",
        port=0,
        web_workers=1,
        log_format="json",
        delivery=DeliverySettings(),
        alerts=AlertSettings(),
        send_wait=timedelta(0),
        engine=EngineSettings(
            concurrent_executions=2,
            concurrent_batches=2,
            rate_per_minute=6_000_000,
            ramp=timedelta(0),
            dead_after=timedelta(seconds=5),
            limits=Limits(),
        ),
        identity_keys=(IDENTITY_KEY, OLD_IDENTITY_KEY),
        allowed_origins={SHOP},
    )


def environ_for(database_url: str, data_folder: Path) -> dict[str, str]:
    """Return the environment of a command: what has no default, and nothing else."""
    return {
        "PUSH_BLASTER_DATABASE_URL": database_url,
        "PUSH_DATA_DIR": str(data_folder),
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        "CADENCE_API_TOKEN": "token-of-the-tests",
    }
