"""Usage detail older than its days leaves for Parquet files, and nothing is lost on the way (money.md 22)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest
from factories import MODEL, Factory
from harness import Ledger

from contracts.gateway import Counts, IterationCounts, UsageRecorded
from kit.clock import ManualClock
from kit.database import Database
from ledger.adapters.archive_files import ArchiveDamagedError, ArchiveFolder
from ledger.domain.requests import RequestFilter
from ledger.errors import RetentionTooShortError
from ledger.repository.archives import find_archives
from ledger.repository.partitions import ensure_partitions
from ledger.repository.reading import list_requests
from ledger.service.archiving import Archiving


class Killed(BaseException):
    """The process ends here."""


class Store:
    """A ledger with a month of old calls, and the folder where they go."""

    def __init__(self, ledger: Ledger, owner: Database, *, make: Factory, clock: ManualClock, folder: Path) -> None:
        self.ledger, self.owner, self.make, self.clock = ledger, owner, make, clock
        self.folder = ArchiveFolder(folder)
        self.account_id = uuid4()
        self.sealed = 0
        self.calls: list[UsageRecorded] = []

    async def seal(self) -> None:
        self.sealed += 1

    def archiving(self, folder: ArchiveFolder | None = None) -> Archiving:
        return Archiving(self.owner, self.clock, folder or self.folder, self.seal)

    async def fill(self, number: int = 50) -> None:
        async with self.ledger.database.transaction() as session:
            await ensure_partitions(session, now=self.clock.now(), months_ahead=5)
        await self.ledger.deliver(self.make.created(self.account_id), self.make.activated(self.account_id))
        for index in range(number):
            self.clock.advance(3600)
            inner = (IterationCounts(model=MODEL, counts=Counts(output_tokens=index)),) if index % 3 else ()
            self.calls.append(self.make.usage(self.account_id, tokens=index, iterations=inner, error_type="ü"))
        await self.ledger.deliver(*self.calls)

    async def detail(self) -> int:
        return (await self.ledger.rows("SELECT count(*) FROM usage_detail"))[0][0]

    def archived_ids(self) -> set[UUID]:
        files = self.folder.folder.glob("*.parquet")
        return {UUID(value) for path in files for value in pq.read_table(path)["id"].to_pylist()}


@pytest.fixture
async def store(
    bare_ledger: Ledger, owner_url: str, make: Factory, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Store]:
    clock.instant = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
    await bare_ledger.deliver(make.plan())
    # Only the owner of the tables drops a month's.
    owner = Database(owner_url, source="ledger")
    filled = Store(bare_ledger, owner, make=make, clock=clock, folder=tmp_path / "archive")
    await filled.fill()
    clock.advance(timedelta(days=130).total_seconds())
    yield filled
    await owner.close()


async def test_a_month_that_is_over_moves_into_a_file_and_its_charges_stay(store: Store) -> None:
    before = await store.ledger.books()
    charges = await store.ledger.rows("SELECT count(*) FROM charge")

    archives = await store.archiving().archive()

    wanted = RequestFilter(account_id=store.account_id)
    async with store.ledger.database.reading() as session:
        listed = await list_requests(session, wanted, before=store.calls[40].id, limit=50)
    assert [row.id for row in listed] == [call.id for call in reversed(store.calls[:40])]
    assert {row.gateway_instance for row in listed} == {None}
    march = next(one for one in archives if one.name == "usage_detail_2026_03")
    assert (march.content.rows, await store.detail(), store.sealed) == (50, 0, 1)
    assert store.archived_ids() == {call.id for call in store.calls}
    assert await store.ledger.rows("SELECT count(*) FROM charge") == charges
    assert (await store.ledger.books()).sums == before.sums
    manifest = json.loads((store.folder.folder / "usage_detail_2026_03.json").read_text())
    assert (manifest["rows"], manifest["sha256"]) == (50, march.sha256.hex())
    row = pq.read_table(march.file).to_pylist()[7]
    assert (row["account_id"], row["error_type"]) == (str(store.account_id), "ü")


async def test_explaining_an_archived_call_finds_its_file(store: Store) -> None:
    await store.archiving().archive()

    async with store.ledger.database.reading() as session:
        (archive,) = await find_archives(session, store.calls[0].id)
        assert archive.file.endswith("usage_detail_2026_03.parquet")
        assert not await find_archives(session, store.make.usage(store.account_id).id)


async def test_archiving_again_does_nothing(store: Store) -> None:
    await store.archiving().archive()

    assert await store.archiving().archive() == []


async def test_detail_younger_than_its_days_stays(store: Store) -> None:
    recent = store.make.usage(store.account_id)
    await store.ledger.deliver(recent)

    await store.archiving().archive()

    assert await store.detail() == 1
    with pytest.raises(RetentionTooShortError):
        await store.archiving().archive(before=store.clock.now())


@pytest.mark.parametrize("moment", ["while writing", "before the manifest", "before the partition goes"])
async def test_a_kill_at_any_point_loses_nothing_and_the_next_run_goes_on(store: Store, moment: str) -> None:
    archiving = store.archiving(KilledFolder(store.folder.folder, moment))
    with pytest.raises(Killed):
        await archiving.archive()

    in_database = await store.detail()
    assert in_database == 50
    await store.archiving().archive()

    assert (await store.detail(), store.archived_ids()) == (0, {call.id for call in store.calls})


async def test_what_comes_while_it_is_archived_is_not_dropped_unseen(store: Store) -> None:
    late = store.make.usage(store.account_id, id=_id_in_march(store), admitted_at=store.calls[0].admitted_at)

    await store.archiving(LateFolder(store.folder.folder, store.ledger, late)).archive()

    assert await store.detail() == 0
    assert store.archived_ids() == {call.id for call in store.calls} | {late.id}


async def test_what_comes_after_its_month_is_gone_is_archived_beside_it(store: Store) -> None:
    await store.archiving().archive()
    late = store.make.usage(store.account_id, id=_id_in_march(store), admitted_at=store.calls[0].admitted_at)
    await store.ledger.deliver(late)

    (rest,) = await store.archiving().archive()

    assert (rest.name, rest.content.rows, await store.detail()) == ("usage_detail_rest_1", 1, 0)
    async with store.ledger.database.reading() as session:
        assert {one.name for one in await find_archives(session, late.id)} == {"usage_detail_2026_03", rest.name}


async def test_a_file_that_was_damaged_before_the_partition_went_is_written_again(store: Store) -> None:
    with pytest.raises(Killed):
        await store.archiving(KilledFolder(store.folder.folder, "before the partition goes")).archive()
    path = store.folder.path_of("usage_detail_2026_03")
    path.write_bytes(path.read_bytes()[:-100])

    await store.archiving().archive()

    assert store.archived_ids() == {call.id for call in store.calls}


async def test_a_disk_that_gives_back_something_else_stops_it(store: Store) -> None:
    with pytest.raises(ArchiveDamagedError):
        await store.archiving(ForgetfulFolder(store.folder.folder)).archive()

    assert await store.detail() == 50


class KilledFolder(ArchiveFolder):
    """The process dies at a moment of the archiving of March."""

    def __init__(self, folder: Path, moment: str) -> None:
        super().__init__(folder)
        self.moment = moment

    def writing(self, name: str, schema: Any) -> Any:
        if self.moment == "while writing" and name.endswith("2026_03"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path_of(name).with_suffix(".writing").write_bytes(b"PAR1 half of it")
            raise Killed
        return super().writing(name, schema)

    def checksum(self, name: str) -> tuple[int, bytes]:
        if self.moment == "before the manifest" and name.endswith("2026_03"):
            raise Killed
        return super().checksum(name)

    def write_manifest(self, name: str, manifest: dict[str, Any]) -> None:
        super().write_manifest(name, manifest)
        if self.moment == "before the partition goes" and name.endswith("2026_03"):
            raise Killed


class ForgetfulFolder(ArchiveFolder):
    """What is read is not what was written."""

    def reading(self, name: str) -> Any:
        path = self.path_of(name)
        table = pq.read_table(path)
        pq.write_table(table.slice(1), path)
        return super().reading(name)


class LateFolder(ArchiveFolder):
    """A call of March is booked just after March was written down."""

    def __init__(self, folder: Path, ledger: Ledger, late: UsageRecorded) -> None:
        super().__init__(folder)
        self.ledger, self.late = ledger, [late]

    def write_manifest(self, name: str, manifest: dict[str, Any]) -> None:
        super().write_manifest(name, manifest)
        if self.late and name.endswith("2026_03"):
            asyncio.run(self._deliver(self.late.pop()))

    async def _deliver(self, late: UsageRecorded) -> None:
        url = self.ledger.database.engine.url.render_as_string(hide_password=False)
        database = Database(url, source="ledger")
        other = Ledger(database, self.ledger.clock)
        await other.deliver(late)
        await database.close()


def _id_in_march(store: Store) -> UUID:
    return UUID(int=store.calls[0].id.int + 1)
