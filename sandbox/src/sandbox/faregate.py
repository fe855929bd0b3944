"""The whole product as an object, for tests that start, break and search it."""

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from kit.clock import SandboxClock, move_clock
from sandbox.accounts import Account, PublicApi, make_account
from sandbox.addresses import Addresses
from sandbox.credentials import Credentials
from sandbox.environment import CLOCK_FILE
from sandbox.selection import without_real_keys
from sandbox.stack import Stack
from sandbox.supervisor import Supervisor
from sandbox.welcome import introduce


class Faregate:
    """All processes of a sandbox with stand-ins only; `settings` are environment variables for the services."""

    def __init__(self, folder: Path, addresses: Addresses, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.addresses = addresses
        self.url = addresses.url("gateway")
        self.mailbox_url = addresses.url("mailbox")
        env = {**without_real_keys(os.environ), **(settings or {})}
        self.supervisor = Supervisor.of(folder, addresses=addresses, user_env=env, on_phase=_ignored)

    @property
    def stack(self) -> Stack:
        return self.supervisor.stack

    @property
    def credentials(self) -> Credentials:
        return Credentials.kept_in(self.folder)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    async def make_account(self, *, credits_amount: str = "0") -> Account:
        async with PublicApi(self.url) as api:
            return await make_account(api, operator=self.credentials.operator, credits_amount=credits_amount)

    async def operator_token(self) -> str:
        async with PublicApi(self.url) as api:
            return (await api.log_in(self.credentials.operator)).token

    async def stepped_up_token(self) -> str:
        """An operator's token that moves money and users."""
        async with PublicApi(self.url) as api:
            return await api.step_up(self.credentials.operator)

    async def kill(self, service: str) -> None:
        """As `kill -9`."""
        await self.supervisor.kill_program(service)

    async def stop(self, service: str) -> None:
        await self.supervisor.stop_program(service)

    async def start(self, service: str) -> None:
        """After `kill` or `stop`; returns when it is ready."""
        await self.supervisor.start_program(service)

    async def __aenter__(self) -> Self:
        await self.supervisor.start()
        try:
            await introduce(self.supervisor, self.url)
        except BaseException:
            await self.supervisor.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.supervisor.stop()


class MovedFaregate(Faregate):
    """The same with a clock of its own that services and Stripe live by: months pass while it runs."""

    def __init__(self, folder: Path, addresses: Addresses, *, settings: Mapping[str, str] | None = None) -> None:
        self._clock_file = folder / "clock"
        move_clock(self._clock_file, offset_s=0)
        self._clock = SandboxClock(self._clock_file)
        super().__init__(folder, addresses, settings={**(settings or {}), CLOCK_FILE: str(self._clock_file)})

    def now(self) -> datetime:
        """The time in there."""
        return self._clock.now()

    def pass_time(self, span: timedelta) -> None:
        """It is so much later for all of them at once; what was due on the way happens now."""
        move_clock(self._clock_file, offset_s=self._clock.offset_s + span.total_seconds())


def _ignored(_name: str, _phase: str, _pid: int | None) -> None:
    pass
