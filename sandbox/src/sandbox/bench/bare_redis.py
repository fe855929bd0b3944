"""Redis for the bare call: money taken and settled by two scripts, and as little around them as can be."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

ACCOUNTS: Final = 16
AVAILABLE_NANO: Final = 10**15
ADMIT: Final = """
local now = redis.call('TIME')
local account = redis.call('HMGET', KEYS[1], 'available', 'held', 'unbooked')
local left = tonumber(account[1]) - tonumber(account[2] or 0) - tonumber(account[3] or 0)
if left < tonumber(ARGV[2]) then return redis.error_reply('no credit') end
redis.call('HINCRBY', KEYS[1], 'held', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'calls', 1)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], now[1] * 1000 + ARGV[3], ARGV[1])
return left
"""
SETTLE: Final = """
local held = redis.call('HGET', KEYS[2], ARGV[1])
if not held then return redis.error_reply('no such call') end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'held', -held)
redis.call('HINCRBY', KEYS[1], 'calls', -1)
redis.call('HINCRBY', KEYS[1], 'unbooked', ARGV[2])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])
return 1
"""


class Redis(asyncio.Protocol):
    """What is asked in one turn of the loop leaves in one write."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[Callable[[Any], object]] = deque()
        self._unsent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            if isinstance(answer, Exception):
                raise answer
            self._waiting.popleft()(answer)

    def ask(self, then: Callable[[Any], object], *words: bytes | str | int) -> None:
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub knows tuples of one
        self._waiting.append(then)

    def _send(self) -> None:
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


def nothing(_answer: Any) -> None:
    """A settled call has nobody to tell."""


def account_id(number: int) -> bytes:
    return b"%032d" % number


def account_keys(account: bytes) -> tuple[bytes, ...]:
    return tuple(b"bare:{%b}:%b" % (account, name) for name in (b"account", b"calls", b"until", b"unbooked"))


async def prepared(redis: Redis) -> list[bytes]:
    """The scripts' digests, once every account has its money."""
    loop = asyncio.get_running_loop()
    for account in map(account_id, range(ACCOUNTS)):
        redis.ask(nothing, b"DEL", *account_keys(account))
        redis.ask(nothing, b"HSET", account_keys(account)[0], b"available", AVAILABLE_NANO)
    digests: list[asyncio.Future[bytes]] = []
    for script in (ADMIT, SETTLE):
        digests.append(loop.create_future())
        redis.ask(digests[-1].set_result, b"SCRIPT", b"LOAD", script)
    return await asyncio.gather(*digests)
