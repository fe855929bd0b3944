"""nginx as the limit: one worker that proxies the same upstream, with nothing to check or count."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from sandbox.bench.pinning import pin
from sandbox.stack.ports import free_ports

CONFIG: Final = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000000; client_max_body_size 32m;
    location / {{
      proxy_pass {scheme}://provider; proxy_ssl_verify off;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def installed() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running_nginx(
    upstream_port: int, folder: Path, *, core: int, tls: bool = False
) -> Iterator[tuple[int, list[psutil.Process]]]:
    """Port and processes of an nginx on one core; `tls` is about its way to the upstream."""
    binary = installed()
    assert binary is not None
    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    scheme = "https" if tls else "http"
    config.write_text(CONFIG.format(folder=folder, upstream=upstream_port, port=port, scheme=scheme))
    process = subprocess.Popen([binary, "-c", str(config), "-e", str(folder / "error.log")], stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        psutil.wait_procs([], timeout=0)
        workers = _workers(process.pid)
        for worker in workers:
            pin(worker.pid, core)
        yield port, workers
    finally:
        process.terminate()
        process.wait(10)


def _workers(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    for _ in range(100):
        children: list[psutil.Process] = parent.children()
        if children:
            return children
        psutil.wait_procs([parent], timeout=0.05)
    raise RuntimeError("nginx did not start a worker")
