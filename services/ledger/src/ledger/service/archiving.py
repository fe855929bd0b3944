"""Old usage detail leaves the database for Parquet files (money.md 22): exported, read back, then dropped.

Killed at any point it goes on where it was: a file takes its place only when it is whole, the manifest's row comes
after the file was read back, and a partition goes in the transaction that says so and only while it holds what the
file holds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from kit import logging
from kit.clock import Clock
from kit.database import Database
from ledger.adapters.archive_files import GROUP_ROWS, ArchiveDamagedError, ArchiveFolder, row_group, schema_of
from ledger.domain.archiving import Archive, ArchiveState, Content, Part
from ledger.errors import RetentionTooShortError
from ledger.repository import archives as repository

log = logging.get(__name__)

DETAIL_DAYS: Final = 90
ATTEMPTS: Final = 3
Seal = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Archiving:
    """It owns its transactions. `seal` seals the chains' heads before anything goes."""

    database: Database
    clock: Clock
    folder: ArchiveFolder
    seal: Seal
    detail_days: int = DETAIL_DAYS

    async def archive(self, *, before: datetime | None = None) -> list[Archive]:
        """Archive every month that is over at `before`; what was archived by this call."""
        latest = self.clock.now() - timedelta(days=self.detail_days)
        limit = latest if before is None else before
        if limit > latest:
            raise RetentionTooShortError(f"Usage detail is kept {self.detail_days} days: {latest.isoformat()}.")
        async with self.database.reading() as session:
            end_id = await repository.floor_of(session, limit)
            parts = [part for part in await repository.list_parts(session) if part.end_id <= end_id]
        if parts:
            await self.seal()
        done = [await self._archive(part) for part in parts]
        async with self.database.reading() as session:
            rest = await repository.find_rest(session, end_id=end_id)
        return done if rest is None else [*done, await self._archive(rest)]

    async def _archive(self, part: Part) -> Archive:
        for _ in range(ATTEMPTS):
            archive = await self._standing(part) or await self._export(part)
            now = self.clock.now()
            async with self.database.transaction() as session:
                if await repository.drop_part(session, part, archive, now=now):
                    log.info("ledger.usage_archived", part=part.name, rows=archive.content.rows, file=archive.file)
                    return archive
            log.warning("ledger.usage_came_while_archiving", part=part.name)
        raise ArchiveDamagedError(f"{part.name} changes faster than it is written")

    async def _standing(self, part: Part) -> Archive | None:
        """What an earlier run exported, if the file is sound and the part still holds just that."""
        async with self.database.reading() as session:
            known = await repository.find_archive_of_part(session, part.name)
            if known is None or known.content != await repository.read_content(session, part):
                return None
        try:
            found = await asyncio.to_thread(self.folder.checksum, part.name)
        except FileNotFoundError:
            return None
        return known if found == (known.size_bytes, known.sha256) else None

    async def _export(self, part: Part) -> Archive:
        schema = schema_of(repository.detail_columns())
        # One snapshot for the export, its sum and the comparison.
        async with self.database.reading() as session:
            content = await repository.read_content(session, part)
            await self._write(session, part, schema)
            await self._read_back(session, part, schema, content)
        size, digest = await asyncio.to_thread(self.folder.checksum, part.name)
        archive = Archive(
            name=part.name,
            first_id=part.first_id,
            end_id=part.end_id,
            state=ArchiveState.VERIFIED,
            file=str(self.folder.path_of(part.name)),
            size_bytes=size,
            sha256=digest,
            content=content,
            archived_at=self.clock.now(),
        )
        await asyncio.to_thread(self.folder.write_manifest, part.name, shown(archive))
        async with self.database.transaction() as session:
            await repository.save_archive(session, archive)
        return archive

    async def _write(self, session: AsyncSession, part: Part, schema: pa.Schema) -> None:
        with self.folder.writing(part.name, schema) as writer:
            async for group in _groups(session, part, schema):
                await asyncio.to_thread(writer.write_batch, group)

    async def _read_back(self, session: AsyncSession, part: Part, schema: pa.Schema, content: Content) -> None:
        rows = 0
        with self.folder.reading(part.name) as written:
            async for group in _groups(session, part, schema):
                found = await asyncio.to_thread(next, written, None)
                if found is None or not found.equals(group):
                    raise ArchiveDamagedError(f"{part.name} was read back and differs")
                rows += group.num_rows
            if await asyncio.to_thread(next, written, None) is not None or rows != content.rows:
                raise ArchiveDamagedError(f"{part.name} was read back and has other rows")


def shown(archive: Archive) -> dict[str, Any]:
    """The manifest for people and programs."""
    return {
        "name": archive.name,
        "file": archive.file,
        "rows": archive.content.rows,
        "bytes": archive.size_bytes,
        "sha256": archive.sha256.hex(),
        "first_id": str(archive.first_id),
        "end_id": str(archive.end_id),
        "archived_at": archive.archived_at.isoformat(),
    }


async def _groups(session: AsyncSession, part: Part, schema: pa.Schema) -> AsyncIterator[pa.RecordBatch]:
    rows: list[Any] = []
    async with repository.reading_rows(session, part) as found:
        async for row in found:
            rows.append(row)
            if len(rows) == GROUP_ROWS:
                yield await asyncio.to_thread(row_group, schema, rows)
                rows = []
    if rows:
        yield await asyncio.to_thread(row_group, schema, rows)
