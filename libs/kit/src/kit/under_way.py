"""A batch that is with the database, and which part of the next one may begin meanwhile."""

import asyncio
from collections.abc import Sequence

from aiokafka import TopicPartition

from kit.received import Decoded, Record

Part = list[Decoded | None]
"""The lanes of one part by their number; None once it is applied."""


class GivenBackError(Exception):
    """The batch before was given back to Kafka, so what follows it must come again behind it."""


class UnderWay:
    """A batch as lanes that are numbered by key: what has one key has one number in all batches of as many lanes.

    So a lane begins when the lane of its number in the batch before has ended. Whoever waited for the slowest lane of a
    batch before the next one began left database and interpreter idle in turn.
    """

    def __init__(self, records: Sequence[Record], parts: list[list[Decoded]], *, began_s: float) -> None:
        self.records = records
        self.parts: list[Part] = [list(part) for part in parts]
        self.began_s = began_s
        self.task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self.lanes_applied: list[asyncio.Future[bool]] = [loop.create_future() for _ in parts[-1]]
        self.committed: asyncio.Future[bool] = loop.create_future()
        self._before: UnderWay | None = None

    def may_follow(self, before: "UnderWay") -> bool:
        """Whether both have the same keys in the same lanes, and nothing that would overtake the lanes of the other."""
        return len(self.parts) == 1 and len(self.lanes_applied) == len(before.lanes_applied)

    def follow(self, before: "UnderWay") -> None:
        """Begin no lane, and commit nothing, before that batch has done the same."""
        self._before = before

    async def turn_of(self, lane: int) -> None:
        """Wait until this lane may begin; raises `GivenBackError`."""
        if self._before is not None and not await asyncio.shield(self._before.lanes_applied[lane]):
            raise GivenBackError

    async def turn_to_commit(self) -> None:
        """Wait until the batch before is committed; raises `GivenBackError`."""
        if self._before is not None and not await asyncio.shield(self._before.committed):
            raise GivenBackError
        self._before = None

    def lane_applied(self, part: Part, lane: int) -> None:
        part[lane] = None
        if part is self.parts[-1]:
            self.lanes_applied[lane].set_result(True)

    def end(self) -> None:
        """What has not been reached by now will not be: whoever waits for it shall not."""
        self._before = None
        for reached in (*self.lanes_applied, self.committed):
            if not reached.done():
                reached.set_result(False)


def firsts(records: Sequence[Record]) -> dict[TopicPartition, int]:
    """The first offset of each partition among these."""
    earliest: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        earliest[partition] = min(record.offset, earliest.get(partition, record.offset))
    return earliest


def behind(records: Sequence[Record]) -> dict[TopicPartition, int]:
    """The offset behind the last of each partition among these: what is committed."""
    lasts: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        lasts[partition] = max(record.offset + 1, lasts.get(partition, 0))
    return lasts
