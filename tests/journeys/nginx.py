"""nginx before cadence replicas or webs, as deploy/nginx/ puts it there."""

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local_stack.processes import die_with_parent, stop_processes
from tests.programs import find_program

DEPLOY = Path(__file__).parents[2] / "deploy" / "nginx"
#: The file that lists the servers, by configuration.
SERVERS = {"cadence.conf": "cadence-replicas.conf", "push.conf": "push-web.conf"}
NGINX_CONF = """
daemon off; pid nginx.pid; error_log error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {conf};
}}
"""


@contextmanager
def running_nginx(
    folder: Path, ports: Sequence[int], port: int, name: str = "cadence.conf"
) -> Iterator[None]:
    """Answer on `port` for the servers on `ports`."""
    conf = re.sub(r"listen \d+;", f"listen 127.0.0.1:{port};", (DEPLOY / name).read_text())
    (folder / name).write_text(conf.replace("/var/log/nginx/", f"{folder}/"))
    servers = [f"server 127.0.0.1:{p} max_fails=0;\n" for p in ports]
    (folder / SERVERS[name]).write_text("".join(servers))
    (folder / "nginx.conf").write_text(NGINX_CONF.format(conf=folder / name))
    program = find_program("nginx", "REQUIRE_NGINX")
    arguments = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    checked = subprocess.run([*arguments, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    front = subprocess.Popen(arguments, preexec_fn=die_with_parent(signal.SIGTERM))
    try:
        yield
    finally:
        stop_processes([front], 5)
