"""A server that answers as FCM does: nginx over HTTP/2 and TLS, each answer after 50 ms."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

import requests
import trustme

from local_stack.processes import stop_processes
from tests.journeys.stack import free_port

#: How long the server thinks about a message.
DELAY_S: Final = 0.05
ECHO_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")

_CONFIG: Final = """
load_module %(module)s;
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid nginx.pid;
error_log error.log error;
events { worker_connections 8192; }
http {
  access_log off;
  server_tokens off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  http2_max_concurrent_streams 100;
  client_body_buffer_size 16k;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  default_type application/json;
  charset utf-8;
  ssl_certificate server.pem;
  ssl_certificate_key server.key;
  ssl_protocols TLSv1.3;
  add_header vary "Origin, X-Origin, Referer" always;
  add_header x-xss-protection 0 always;
  add_header x-frame-options SAMEORIGIN always;
  add_header x-content-type-options nosniff always;
  add_header alt-svc 'h3=":443"; ma=2592000' always;
  server {
    listen 127.0.0.1:%(port)s ssl http2 backlog=4096;
    location / {
      echo_read_request_body;
      echo_sleep %(delay)s;
      echo '{"name": "projects/garden/messages/0:1500415314455276%%31bd1c9631bd1c96"}';
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class FakeFcm:
    """Where the server is, and what proves that it is it."""

    url: str
    ca_file: Path


@contextmanager
def run_fake_fcm(folder: Path) -> Iterator[FakeFcm]:
    """Run the server in `folder`; RuntimeError where nginx or its echo module is missing."""
    program = which("nginx") or which("nginx", path="/usr/sbin")
    if program is None or not ECHO_MODULE.exists():
        raise RuntimeError("nginx and libnginx-mod-http-echo are needed: apt-get install them.")
    folder.mkdir()
    port = free_port()
    values = {"module": ECHO_MODULE, "port": port, "delay": DELAY_S}
    (folder / "nginx.conf").write_text(_CONFIG % values)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    server = FakeFcm(f"https://localhost:{port}", folder / "ca.pem")
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"],
    )
    try:
        _wait_until_there(server)
        yield server
    finally:
        stop_processes([process], 10)


def _wait_until_there(server: FakeFcm) -> None:
    for _ in range(100):
        try:
            requests.post(server.url, data=b"{}", verify=str(server.ca_file), timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("The fake FCM did not come up.")
