"""Serving a Flask app by gunicorn."""

import os
import sys
from tempfile import mkdtemp
from typing import NoReturn


def serve(app: str, *, host: str, port: int, workers: int) -> NoReturn:
    """Become gunicorn, serving the factory `app` (`package.app:create_app()`).

    Its workers count into a new folder, so that any of them can tell what all have counted.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = mkdtemp(prefix="metrics-")  # noqa: TID251 - for the workers
    arguments = [
        "gunicorn",
        app,
        "--config=python:chassis.gunicorn_settings",
        f"--bind={host}:{port}",
        f"--workers={workers}",
    ]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - our own process
