"""The settings of gunicorn for both services; `serve` adds the address and the workers."""

import gc
import os
import shutil
from importlib import import_module
from typing import Any, Final

from chassis.http.request_classes import CAPACITIES, RequestClass
from chassis.http.shared_time import keep_time

worker_class: Final = "chassis.http.patient_worker.PatientWorker"
#: gunicorn knows the usual threads only; the worker makes those of the other classes.
threads: Final = CAPACITIES[RequestClass.USUAL].threads
#: Enough for every request of every capacity, beside the connections that wait for their clients.
worker_connections: Final = 1_140
#: Longer than proxies keep a connection (nginx: 60 s): a proxy may send a change on a connection in
#: the moment in which it is closed, and may not repeat the change.
keepalive: Final = 75
sendfile: Final = False  # it would wait without a limit for a client that does not read
timeout: Final = 120
graceful_timeout: Final = 30
loglevel: Final = "warning"
control_socket_disable: Final = (
    True  # all services would share one socket in the home of their user
)


def on_starting(server: Any) -> None:
    """Let nobody else read what the service writes, and import the app once for all workers."""
    os.umask(0o077)
    import_module(server.app.app_uri.partition(":")[0])
    gc.freeze()  # so that workers share the memory of what was imported


def post_worker_init(worker: Any) -> None:
    """Let a worker go by the clock of its database."""
    keep_time(worker.wsgi)


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that ended; its counters stay."""
    from prometheus_client import multiprocess  # not before `serve` has set its folder

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # missing there


def on_exit(_server: Any) -> None:
    """Remove the counters of the workers."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
