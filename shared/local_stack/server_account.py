"""The account of the embedded server, and folders that it may read: PostgreSQL refuses root."""

import hashlib
import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Where the data goes if root runs this and the unprivileged server cannot reach the folder.
ROOTS_PLACE: Final = Path("/var/lib/push-automation")


@dataclass(frozen=True, slots=True)
class Owner:
    """The account that the server runs under."""

    uid: int
    gid: int


def find_owner() -> Owner:
    """Return the present account, or for root an account without privileges."""
    uid = os.geteuid()
    user = pwd.getpwuid(uid) if uid else pwd.getpwnam("nobody")
    return Owner(user.pw_uid, user.pw_gid)


def find_reachable(folder: Path) -> Path:
    """Return `folder`, or for root another folder that the server can reach.

    The permissions of parent folders stay as they are.
    """
    if os.geteuid() or _may_pass(folder.parent):
        return folder
    return ROOTS_PLACE / _digest(folder)


def copy_reachable(folder: Path, parts: Sequence[str]) -> Path:
    """Return `folder`, or for root a copy of these parts of it that the server can reach.

    The name of the copy is made of the path and its age, so that an upgrade gets its own copy.
    """
    if os.geteuid() or _may_pass(folder / parts[0]):
        return folder
    age = (folder / parts[0]).stat().st_mtime_ns
    copy = ROOTS_PLACE / f"programs-{_digest(folder)}-{age}"
    if not copy.exists():
        draft = copy.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        for part in parts:
            if (folder / part).exists():
                shutil.copytree(folder / part, draft / part, symlinks=True)
        draft.rename(copy)
    return copy


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def hand_over(path: Path, owner: Owner) -> None:
    """Give `path` to `owner`; nobody else may read or enter it."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if not os.geteuid():
        os.chown(path, owner.uid, owner.gid)


def _may_pass(folder: Path) -> bool:
    existing = [parent for parent in (folder, *folder.parents) if parent.exists()]
    return all(parent.stat().st_mode & 0o001 for parent in existing)
