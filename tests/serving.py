"""Servers behind a real socket: a Flask app of ours, or whatever else a test talks to."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import HTTPServer
from threading import Thread
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator


@contextmanager
def serving(app: Callable[..., Any]) -> Iterator[str]:
    """Serve `app`, a WSGI application, on a free port until the block ends; yield its URL."""

    def answer(*call: Any) -> Iterator[bytes]:
        # The server forgets to close the answer if a browser goes away early; a generator closes.
        with closing(ClosingIterator(app(*call))) as body:
            yield from body

    with running(make_server("127.0.0.1", 0, answer, threaded=True)) as url:
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
