"""How the process serves: uvicorn with our protocol, alone or as one of several workers on the same port."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

import uvicorn
from prometheus_client import start_http_server
from starlette.types import ASGIApp

from gateway.addresses import networks_of
from gateway.admission.caller import FLUSH_S
from gateway.dataplane.cors import Cors
from gateway.dataplane.front import FrontLimits, ModelRoutes
from gateway.dataplane.open_calls import AFTER_CUT_S
from gateway.dataplane.protocol import GatewayProtocol, protocol_class
from gateway.supervisor import SERVE, Supervisor, Workers, is_worker, stop_with_parent
from gateway.usage.durability import STOP_S
from kit.metrics import registry

# After the grace, one after the other: the last events, side by side, and their answers; then what is on its way to
# Kafka goes to the spool and settlements to Redis; then connections and tasks end.
_FLUSHED_S = STOP_S + FLUSH_S
_CLOSED_S = 10
AFTER_GRACE_S = AFTER_CUT_S + _FLUSHED_S + _CLOSED_S
"""The longest that a process takes to end after the grace; whoever kills it must wait for longer."""

_BACKLOG = 4096
_FAILED_TO_START = 3


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """Where and for whom a gateway serves, and what a client may cost it."""

    host: str
    port: int
    instance: str
    workers: int = 1
    shutdown_grace_s: float = 5.0
    metrics_address: str = ""
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    front: FrontLimits = field(default_factory=FrontLimits)

    def protocol(self, routes: ModelRoutes) -> type[GatewayProtocol]:
        """What uvicorn serves each connection with."""
        return protocol_class(
            routes,
            self.front,
            cors=Cors(self.cors_origins) if self.cors_origins else None,
            trusted_proxies=networks_of(self.trusted_proxies),
        )


@dataclass(frozen=True, slots=True)
class Served:
    """What one process serves with; `on_stop` is called once, when it is told to stop."""

    app: ASGIApp
    protocol: type[GatewayProtocol]
    on_stop: Callable[[], None]


class GatewayServer(uvicorn.Server):
    """Tells the calls about the end when the signal comes, and exits with 0 after a graceful one."""

    def __init__(self, config: uvicorn.Config, served: Served) -> None:
        super().__init__(config)
        self._served = served

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own handler would raise the signal again at the end, and the process would die of it.
        if not self.should_exit:
            self.should_exit = True
            self._served.protocol.front.closing = True
            self._served.on_stop()


def run(build: Callable[[], Served], limits: ServingLimits, *, command: Sequence[str] = SERVE) -> None:
    """Serve until SIGTERM or SIGINT; with several workers this process only watches over them.

    `command` starts a worker: this very program once more.
    """
    if limits.workers > 1 and not is_worker():
        _supervise(Workers(limits.workers, limits.instance, tuple(command)), limits)
        return
    if is_worker():
        stop_with_parent()
    elif limits.metrics_address:
        serve_metrics(limits.metrics_address)
    server = GatewayServer(config_of(served := build(), limits), served)
    server.run(sockets=[_shared_listener(limits)] if is_worker() else None)
    if not server.started:
        raise SystemExit(_FAILED_TO_START)


def config_of(served: Served, limits: ServingLimits) -> uvicorn.Config:
    """Left to uvicorn: `date` on every answer, no `server`. Addresses, time-outs and framing are the protocol's."""
    return uvicorn.Config(
        served.app,
        host=limits.host,
        port=limits.port,
        http=served.protocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=int(limits.shutdown_grace_s + AFTER_CUT_S),
    )


def serve_metrics(address: str, *, folder: str | None = None) -> None:
    """Serve `/metrics` at an address of its own, on a thread; `folder` is what workers write to."""
    host, port = _host_and_port(address)
    start_http_server(port, addr=host, registry=registry(folder))


def _supervise(workers: Workers, limits: ServingLimits) -> None:
    # Nobody else may have the port; a socket that does not listen gets no connections.
    reserved = _shared_socket(limits)
    try:
        with workers.metrics_folder() as folder:
            if limits.metrics_address:
                serve_metrics(limits.metrics_address, folder=folder)
            patience_s = limits.shutdown_grace_s + AFTER_GRACE_S
            code = Supervisor(workers, folder=folder, patience_s=patience_s).run()
    finally:
        reserved.close()
    raise SystemExit(code)


def _shared_listener(limits: ServingLimits) -> socket.socket:
    listener = _shared_socket(limits)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _shared_socket(limits: ServingLimits) -> socket.socket:
    family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
    shared = socket.socket(family, socket.SOCK_STREAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind((limits.host, limits.port))
    return shared


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)
