"""The server of both services for a process that has another main job: it runs in a thread."""

import os
import selectors
import socket
from threading import Thread
from typing import Any, Final

from flask import Flask
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from chassis.http.patient_worker import PatientWorker

#: Probes come seldom; whoever holds more connections than this is no probe.
MAX_CONNECTIONS: Final = 100


class ServerInThread(PatientWorker):
    """A worker without a master process and without signals."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        """Serve `app` until `stop` is called or the process ends."""
        config: Any = Config()
        config.set("worker_connections", MAX_CONNECTIONS)
        config.set("threads", 1)
        config.set("sendfile", False)
        config.set("loglevel", "warning")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        listener.setblocking(False)
        super().__init__(0, os.getppid(), [listener], None, 0, config, Logger(config))
        self.port: int = listener.getsockname()[1]
        self.wsgi = app
        self.tpool = self.get_thread_pool()
        self.poller = selectors.DefaultSelector()
        self.method_queue.init()
        self._thread = Thread(target=self.run, daemon=True, name="server")
        self._thread.start()

    def is_parent_alive(self) -> bool:
        """Return True: the thread ends with its process."""
        return True

    def stop(self) -> None:
        """Finish the requests that have come, and end."""
        ThreadWorker.handle_exit(self, None, None)  # the process goes on, and its streams
        self._thread.join()
        self.tmp.close()
