"""Serving a Flask app by gunicorn."""

import os
import resource
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

from gunicorn.app import wsgiapp

#: The start of the folder's name; the id of the process follows.
_PREFIX: Final = "push-metrics-"


def raise_descriptor_limit() -> None:
    """Let this process, and what it starts, open as many files as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems refuse what they name as their limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(app: str, *, host: str, port: int, workers: int) -> None:
    """Run gunicorn in this process, serving the factory `app` (`package.app:create_app()`).

    Its workers count into one new folder, so that each worker can answer the metrics of all. They
    are forks of this process, which has imported everything.
    Raises: RuntimeError if the library of the metrics was imported before it knew the folder.
    """
    if "prometheus_client" in sys.modules:
        raise RuntimeError("Import nothing that counts before serve(): it would count apart.")
    raise_descriptor_limit()
    folder = make_metrics_folder(Path(gettempdir()))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # noqa: TID251 - for the workers
    sys.argv = [
        "gunicorn",
        app,
        "--config=python:chassis.http.gunicorn_settings",
        f"--bind={host}:{port}",
        f"--workers={workers}",
    ]
    wsgiapp.run()


def make_metrics_folder(parent: Path) -> Path:
    """Return a new folder for this process; remove the folders of processes that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not _lives_on(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def _lives_on(pid: int) -> bool:
    """Return whether another process has this id; our own folder cannot exist yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
