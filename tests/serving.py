"""Servers behind a real socket: a Flask app of ours, or whatever else a test talks to."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve `app` on a free port until the block ends; yield its URL."""
    with running(make_server("127.0.0.1", 0, app, threaded=True)) as url:
        yield url


@contextmanager
def running(server: HTTPServer) -> Iterator[str]:
    """Serve in a thread until the block ends; yield the URL."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
