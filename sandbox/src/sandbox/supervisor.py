"""Brings up the servers, the stand-ins and the services, watches them, and ends them all."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx2

from sandbox.addresses import Addresses
from sandbox.credentials import Credentials
from sandbox.environment import Environments
from sandbox.programs import SERVERS, TOPICS, Program, programs
from sandbox.selection import Selection
from sandbox.stack import External, Stack, StackError
from sandbox.stack.ports import HOST, check_port
from sandbox.stack.process import Process
from sandbox.stack.stack import messages_of
from sandbox.stack.topics import create_topics

READY = "ready"
PREPARE_TIMEOUT_S = 120.0
START_TIMEOUT_S = 120.0
# Together with the servers' own four seconds this stays under ten.
PROGRAM_STOP_TIMEOUT_S = 4.5
WATCH_S = 0.5
OnPhase = Callable[[str, str, int | None], None]


@dataclass
class Supervisor:
    """All processes of one sandbox. One event loop, in a thread that lives as long as they do."""

    folder: Path
    stack: Stack
    programs: list[Program]
    on_phase: OnPhase
    _processes: dict[str, Process] = field(default_factory=dict)
    _began: set[str] = field(default_factory=set)
    _reached: dict[str, asyncio.Event] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, *, addresses: Addresses, user_env: Mapping[str, str], on_phase: OnPhase) -> Self:
        """The real thing: everything that `up` starts."""
        stack = Stack(folder, ports=addresses.stack, external=External.from_env(user_env))
        environments = Environments(
            user=user_env,
            addresses=addresses,
            credentials=Credentials.kept_in(folder),
            selection=Selection.from_env(user_env),
            stack=stack,
        )
        stack.prepare()
        return cls(folder, stack, programs(environments, folder=folder), on_phase)

    @property
    def names(self) -> list[str]:
        return [*SERVERS, *(program.name for program in self.programs)]

    def program(self, name: str) -> Program:
        return next(program for program in self.programs if program.name == name)

    async def start(self) -> None:
        """Return when everything is ready; on failure everything is stopped again."""
        self._reached = {name: asyncio.Event() for name in (*SERVERS, TOPICS)}
        complete = False
        try:
            self._check_ports()
            await self._start_all()
            complete = True
        except BaseExceptionGroup as errors:
            raise StackError("\n".join(messages_of(errors))) from errors
        finally:
            if not complete:
                await self.stop()

    async def kill_program(self, name: str) -> None:
        """End a service at once, as a crash would; nothing else is stopped unless `watch` runs."""
        await self._processes[name].kill()

    async def stop_program(self, name: str) -> None:
        await self._processes[name].stop()

    async def start_program(self, name: str) -> None:
        """Start a service again after it was killed or stopped; return when it is ready."""
        await self._run(self.program(name))

    async def watch(self) -> None:
        """Never returns; raises `ProcessDiedError` when one of the processes ends by itself."""
        while True:
            self.stack.raise_if_dead()
            for process in self._processes.values():
                process.raise_if_dead()
            await asyncio.sleep(WATCH_S)

    async def stop(self) -> None:
        """Services first, so that what they have in hand still reaches the servers."""
        stand_ins = {program.name for program in self.programs if program.is_stand_in}
        services = [process for name, process in self._processes.items() if name not in stand_ins]
        await _stop_together(services)
        async with asyncio.TaskGroup() as group:
            group.create_task(_stop_together([self._processes[name] for name in stand_ins & set(self._processes)]))
            group.create_task(self.stack.stop())
        for name in self.names:
            if name in self._began:
                self.on_phase(name, "stopped", None)
        self._began.clear()

    def pid_of(self, name: str) -> int:
        """The process of a server, a stand-in or a service that runs."""
        pid = self._processes[name].pid if name in self._processes else self.stack.pid_of(name)
        if pid is None:
            raise StackError(f"{name} does not run here")
        return pid

    def _check_ports(self) -> None:
        """Before anything is started, so that a taken port costs nothing."""
        self.stack.check_ports()
        for program in self.programs:
            for port in program.ports:
                check_port(program.name, port)

    async def _start_all(self) -> None:
        self.stack.progress = self._on_server
        async with asyncio.TaskGroup() as group:
            group.create_task(self.stack.start())
            group.create_task(self._make_topics())
            for program in self.programs:
                group.create_task(self._bring_up(program))

    def _on_server(self, name: str, phase: str) -> None:
        self._began.add(name)
        self.on_phase(name, phase, self.stack.pid_of(name))
        if phase == READY:
            self._reached[name].set()

    async def _make_topics(self) -> None:
        await self._reached["kafka"].wait()
        await create_topics(self.stack.kafka_bootstrap)
        self._reached[TOPICS].set()

    async def _bring_up(self, program: Program) -> None:
        if program.prepare is not None:
            await self._reached["postgres"].wait()
            self._began.add(program.name)
            self.on_phase(program.name, "migrating", None)
            await self._prepare(program)
        self.on_phase(program.name, "waiting", None)
        for need in program.needs:
            await self._reached[need].wait()
        await self._run(program)

    async def _run(self, program: Program) -> None:
        self._began.add(program.name)
        process = self._process(program, program.command)
        self._processes[program.name] = process
        process.start()
        self.on_phase(program.name, "starting", process.pid)
        async with httpx2.AsyncClient(trust_env=False, timeout=4) as http:
            await process.wait_until(lambda: _is_ready(program, http), timeout_s=START_TIMEOUT_S)
        self.on_phase(program.name, READY, process.pid)

    async def _prepare(self, program: Program) -> None:
        assert program.prepare is not None
        env = program.prepare_env or program.env
        process = self._processes[program.name] = self._process(program, program.prepare, env=env)
        process.start()
        await process.wait_for_end(timeout_s=PREPARE_TIMEOUT_S)
        if process.exit_code != 0:
            process.raise_if_dead()

    def _process(self, program: Program, command: tuple[str, ...], *, env: Mapping[str, str] | None = None) -> Process:
        return Process(
            name=program.name,
            command=command,
            log_path=self.folder / "logs" / f"{program.name}.log",
            env=env or program.env,
            cwd=self.folder,
            stop_timeout_s=PROGRAM_STOP_TIMEOUT_S,
        )


async def _stop_together(processes: list[Process]) -> None:
    async with asyncio.TaskGroup() as group:
        for process in processes:
            group.create_task(process.stop())


async def _is_ready(program: Program, http: httpx2.AsyncClient) -> bool:
    if not all([await _accepts(port) for port in program.ports]):
        return False
    if program.ready_path is None:
        return True
    try:
        answer = await http.get(f"http://{HOST}:{program.ports[0]}{program.ready_path}")
    except httpx2.HTTPError:
        return False
    return answer.status_code == httpx2.codes.OK


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
