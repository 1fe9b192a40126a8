"""PushSettings that do not fit are named, with what would."""

from pathlib import Path

import pytest

from chassis.settings import SettingsError
from push_blaster.domain.operations.retention import KEPT
from push_blaster.settings import PushSettings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """What has no default, and nothing else."""
    for name, value in {
        "PUSH_BLASTER_DATABASE_URL": "postgresql://127.0.0.1:9/none",
        "PUSH_DATA_DIR": str(tmp_path),
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        "CADENCE_API_TOKEN": "token-of-the-tests",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_what_is_not_set_has_a_default(environment: pytest.MonkeyPatch) -> None:
    settings = PushSettings.from_environ()

    assert settings.retention == KEPT
    assert settings.engine.limits.script.user is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PUSH_KEEP_AUDIT_DAYS", "364", "PUSH_KEEP_AUDIT_DAYS is 364.*365 days or more"),
        ("PUSH_KEEP_DAYS", "0", "PUSH_KEEP_DAYS"),
        ("PUSH_SCRIPT_USER", "no-such-user", "no-such-user.*no such user"),
    ],
)
def test_what_does_not_fit_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(SettingsError, match=said):
        PushSettings.from_environ()
