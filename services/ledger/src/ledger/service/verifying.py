"""Whether the books are whole: every row against the others, over all accounts or one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kit.database import Database
from ledger.domain.verification import Report, Span
from ledger.repository import verifying as repository

SPAN_ACCOUNTS: Final = 500

Progress = Callable[[int, int, Report], None]
"""Told how many of how many parts are done, and what was found so far."""


@dataclass(frozen=True, slots=True)
class Verifying:
    """Reads on several connections at once; each span of accounts in one consistent read."""

    database: Database
    connections: int = 2
    span_accounts: int = SPAN_ACCOUNTS

    async def verify_account(self, account_id: UUID) -> Report:
        report = Report()
        await self._verify_span(Span.of(account_id), report)
        return report

    async def verify_all(self, progress: Progress | None = None) -> Report:
        report, done = Report(), 0
        async with self.database.reading() as session:
            spans = await repository.list_spans(session, accounts=self.span_accounts)
            partitions = await repository.list_charge_partitions(session)
        waiting: list[Span | str] = [*reversed(spans), *reversed(partitions)]
        total = len(waiting)

        async def work() -> None:
            nonlocal done
            while waiting:
                part = waiting.pop()
                await (self._verify_span(part, report) if isinstance(part, Span) else self._find_twice(part, report))
                done += 1
                if progress is not None:
                    progress(done, total, report)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(work())
        return report

    async def _verify_span(self, span: Span, report: Report) -> None:
        async with self.database.reading() as session:
            async for findings in repository.check_span(session, span):
                report.note(findings)
            findings, sums = await repository.check_balances(session, span)
            report.note(findings)
            accounts, charges, transfers = await repository.size_of(session, span)
        for unit, total in sums.items():
            report.sums[unit] = report.sums.get(unit, 0) + total
        report.accounts += accounts
        report.charges += charges
        report.transfers += transfers

    async def _find_twice(self, partition: str, report: Report) -> None:
        async with self.database.reading() as session:
            report.note(await repository.list_twice(session, partition))
