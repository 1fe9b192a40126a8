"""Serving a Flask app by gunicorn."""

import os
import sys
from typing import NoReturn


def serve(app: str, *, host: str, port: int, workers: int) -> NoReturn:
    """Become gunicorn, serving the factory `app` (`package.app:create_app()`)."""
    arguments = [
        "gunicorn",
        app,
        f"--bind={host}:{port}",
        f"--workers={workers}",
        "--worker-class=gthread",
        "--threads=8",
        "--timeout=120",
        "--graceful-timeout=30",
        "--log-level=warning",
    ]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - our own process
