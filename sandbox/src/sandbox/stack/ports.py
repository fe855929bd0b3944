import random
import socket

import psutil

from sandbox.stack.errors import PortTakenError, StackError

HOST = "127.0.0.1"
# Below the ephemeral ranges of Linux and macOS, so that no outgoing connection takes a port between choice and use.
FREE_PORTS = range(20_000, 32_000)


def check_port(server: str, port: int) -> None:
    """Raise, naming server and port, when the port is in use."""
    if not is_free(port):
        raise PortTakenError(server, port, holder=_holder(port))


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # macOS lets a specific address be bound beside a listener on all addresses.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((HOST, port)) != 0


def free_ports(count: int) -> list[int]:
    """Distinct ports that nobody listens on at this moment."""
    chosen: list[int] = []
    for port in random.SystemRandom().sample(FREE_PORTS, 1_000):
        if is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise StackError(f"no {count} free ports between {FREE_PORTS.start} and {FREE_PORTS.stop}")


def free_port_base(count: int) -> int:
    """The first of `count` consecutive ports that nobody listens on at this moment."""
    starts = range(FREE_PORTS.start, FREE_PORTS.stop - count, count)
    for start in random.SystemRandom().sample(starts, 100):
        if all(is_free(start + offset) for offset in range(count)):
            return start
    raise StackError(f"no {count} consecutive free ports between {FREE_PORTS.start} and {FREE_PORTS.stop}")


def _holder(port: int) -> str | None:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows other processes' sockets to root only
        return None
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            return _described(connection.pid)
    return None


def _described(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return None
