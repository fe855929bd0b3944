import asyncio
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from sandbox.programs import TOPICS, Program
from sandbox.stack import External, ProcessDiedError, Stack, StackError
from sandbox.stack.ports import free_ports
from sandbox.supervisor import Supervisor

# Answers 200 on /health/ready from its third request on.
SERVICE = """\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        self.send_response(200 if Handler.asked > 2 else 503)
        self.end_headers()
        print("asked", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Phases:
    """What was reported, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.pids: dict[str, int | None] = {}

    def __call__(self, name: str, phase: str, pid: int | None) -> None:
        self.seen.append((name, phase))
        self.pids[name] = pid

    def of(self, name: str) -> list[str]:
        return [phase for part, phase in self.seen if part == name]


async def test_a_service_is_prepared_then_started_when_what_it_needs_is_there(tmp_path: Path, stack: Stack) -> None:
    phases = Phases()
    program = _program("shop", needs=(TOPICS, "postgres"), prepare="print('prepared')")
    supervisor = _supervisor(tmp_path, stack, [program], phases)

    await supervisor.start()
    try:
        assert phases.of("shop") == ["migrating", "waiting", "starting", "ready"]
        assert phases.seen.index(("postgres", "ready")) < phases.seen.index(("shop", "migrating"))
        assert "prepared" in (tmp_path / "logs" / "shop.log").read_text()
    finally:
        await supervisor.stop()
    assert phases.of("shop")[-1] == "stopped"


async def test_a_service_that_dies_is_named_with_its_last_lines(tmp_path: Path, stack: Stack) -> None:
    phases = Phases()
    supervisor = _supervisor(tmp_path, stack, [_program("shop")], phases)
    await supervisor.start()
    try:
        psutil.Process(phases.pids["shop"]).kill()
        with pytest.raises(ProcessDiedError, match=r"(?s)shop ended with exit code -9.*asked"):
            async with asyncio.timeout(5):
                await supervisor.watch()
    finally:
        await supervisor.stop()


async def test_a_failed_migration_stops_everything_again(tmp_path: Path, stack: Stack) -> None:
    phases = Phases()
    programs = [_program("shop"), _program("bad", prepare="raise SystemExit('no such column')")]
    supervisor = _supervisor(tmp_path, stack, programs, phases)

    with pytest.raises(StackError, match=r"(?s)bad ended with exit code 1.*no such column"):
        await supervisor.start()

    assert phases.of("shop")[-1] == "stopped"
    assert [child for child in psutil.Process().children() if SERVICE in child.cmdline()] == []


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path, stack: Stack) -> None:
    phases = Phases()
    program = _program("shop")
    supervisor = _supervisor(tmp_path, stack, [program], phases)
    refusal = pytest.raises(StackError, match=f"shop needs port {program.ports[0]} .*process {os.getpid()}")
    with socket.create_server(("127.0.0.1", program.ports[0])), refusal:
        await supervisor.start()

    assert "starting" not in [phase for _, phase in phases.seen]


async def test_services_end_before_the_stand_ins_that_they_use(tmp_path: Path, stack: Stack) -> None:
    ended = tmp_path / "ended"
    programs = [
        _program("party", script=_noting_its_end("party", ended), is_stand_in=True),
        _program("shop", script=_noting_its_end("shop", ended)),
    ]
    supervisor = _supervisor(tmp_path, stack, programs, Phases())
    await supervisor.start()

    await supervisor.stop()

    assert ended.read_text().split() == ["shop", "party"]


def _program(
    name: str,
    *,
    script: str = SERVICE,
    needs: tuple[str, ...] = (),
    prepare: str | None = None,
    is_stand_in: bool = False,
) -> Program:
    port = free_ports(1)[0]
    return Program(
        name=name,
        command=(sys.executable, "-c", script, str(port)),
        env=dict(os.environ),
        ports=(port,),
        needs=needs,
        prepare=None if prepare is None else (sys.executable, "-c", prepare),
        ready_path=None if is_stand_in else "/health/ready",
        is_stand_in=is_stand_in,
    )


NOTING_ITS_END = """\
import pathlib, signal, time
def end(*_):
    time.sleep(0.2)
    with pathlib.Path(PATH).open("a") as file:
        file.write(NAME + " ")
    raise SystemExit
signal.signal(signal.SIGTERM, end)
"""


def _noting_its_end(name: str, path: Path) -> str:
    return f"PATH, NAME = {str(path)!r}, {name!r}\n{NOTING_ITS_END}{SERVICE}"


def _supervisor(folder: Path, stack: Stack, programs: list[Program], phases: Phases) -> Supervisor:
    """On servers that run already, so that a test does not wait for them."""
    external = External(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url, postgres_url=stack.admin_url)
    return Supervisor(folder, Stack(folder, external=external), programs, phases)
