import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.admission.connection import RedisConnection
from kit.clock import SystemClock
from rating import PriceBook
from sandbox.stack import Stack

sys.path.insert(0, str(Path(__file__).parent))

from operation_world import Admissions, OneBook, OperationWorld


@pytest.fixture
async def operations(stack: Stack, book: PriceBook) -> AsyncIterator[OperationWorld]:
    redis = RedisConnection(stack.redis_url)
    await redis.start()
    clock = SystemClock()
    yield OperationWorld(redis, clock, Admissions(clock), OneBook(book))
    await redis.stop()
