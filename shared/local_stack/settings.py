"""The settings of the local stack, from its environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from environs import Env

from chassis.settings import read_port

CHECKOUT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """Ports, folders, and the URLs of databases that are not embedded."""

    data_folder: Path
    host: str
    push_port: int
    cadence_port: int
    push_database_url: str | None
    cadence_database_url: str | None
    environment: dict[str, str]

    @classmethod
    def from_environ(cls) -> "StackSettings":
        """Read the settings; the data folder becomes absolute here."""
        env = Env()
        folder = Path(env.str("PUSH_DATA_DIR", "") or CHECKOUT / "var")
        return cls(
            data_folder=folder if folder.is_absolute() else CHECKOUT / folder,
            host=env.str("PUSH_HOST", "127.0.0.1"),
            push_port=read_port(env, "PUSH_PORT", 3001),
            cadence_port=read_port(env, "CADENCE_PORT", 3002),
            push_database_url=env.str("PUSH_BLASTER_DATABASE_URL", "") or None,
            cadence_database_url=env.str("PUSH_CADENCE_DATABASE_URL", "") or None,
            environment=dict(os.environ),
        )

    @property
    def push_url(self) -> str:
        """Return where push_blaster answers."""
        return f"http://{self.host}:{self.push_port}"

    @property
    def cadence_url(self) -> str:
        """Return where the cadence service answers."""
        return f"http://{self.host}:{self.cadence_port}"

    @property
    def token_file(self) -> Path:
        """Return the file that holds the admin token."""
        return self.data_folder / "admin.token"
