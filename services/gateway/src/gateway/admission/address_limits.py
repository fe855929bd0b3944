"""How often one address may use unauthenticated routes: its own script, its own keys, gone when it is quiet."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, Final

from gateway.admission.connection import RedisConnection
from gateway.admission.scripts import load_script, written
from gateway.admission.wire import RedisAwayError

LONGEST_ADDRESS: Final = 64

Checked = Callable[[float | Exception | None], None]
"""None: there is room; a number: after so many seconds; an exception: Redis cannot say."""


class AddressLimits:
    """A token bucket per address and kind of route: `per_minute` on average, `most` at once."""

    def __init__(self, redis: RedisConnection, *, per_minute: int, most: int) -> None:
        self._redis = redis
        self._per_minute = per_minute
        self._most = most
        self._script = load_script("address")

    def check_soon(self, address: str, kind: str, then: Checked) -> None:
        """Take one from the address's bucket; a refused one takes nothing."""
        wire = self._redis.fast.wire
        if wire is None:
            then(RedisAwayError())
            return

        def answered(reply: Any) -> None:
            if isinstance(reply, Exception):
                then(reply)
            else:
                then(int(reply) / 1000 if reply else None)

        keys = (bucket_key(address, kind),)
        wire.send(written(self._script, keys, self._per_minute, self._most), answered, self._script)

    async def check(self, address: str, kind: str) -> float | None:
        """The same, awaited; raises `AdmissionUnavailableError` when Redis does not answer."""
        answered: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()

        def then(answer: float | Exception | None) -> None:
            if answered.done():
                return
            if isinstance(answer, Exception):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

        self.check_soon(address, kind, then)
        return await answered


def bucket_key(address: str, kind: str) -> str:
    """An address is personal: its digest does as well."""
    digest = hashlib.blake2b(address[:LONGEST_ADDRESS].encode(), digest_size=12).hexdigest()
    return f"{{ip:{digest}}}:{kind}"
