"""What keeps floods of bad credentials away from auth: who may be asked about, how often, and how many at once."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from kit.clock import Clock
from kit.errors import DomainError, UnavailableError

SharedLimit = Callable[[str, str], Awaitable[float | None]]
"""Asked with a client's address and a kind; answers how many seconds to wait, or None. Counts for all gateways."""

_FILTER_BITS: Final = 1 << 24
_FILTER_PROBES: Final = 4
_MOST_ADDRESSES: Final = 10_000
_MOST_WAIT_S: Final = 5.0
_SHARED_S: Final = 0.25


class TooManyRequestsError(DomainError):
    """A client's address has used up what it may try for now."""

    kind = "too_many"
    code = "too_many_requests"


class DigestFilter:
    """A Bloom filter over SHA-256 digests, 2 MB: "no" is certain, "yes" is wrong once in 500 with a million keys in."""

    def __init__(self) -> None:
        self._bits = bytearray(_FILTER_BITS // 8)

    def add(self, digest: bytes) -> None:
        for bit in self._places(digest):
            self._bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, digest: bytes) -> bool:
        return all(self._bits[bit >> 3] & (1 << (bit & 7)) for bit in self._places(digest))

    @staticmethod
    def _places(digest: bytes) -> list[int]:
        words = [int.from_bytes(digest[at : at + 4], "big") for at in range(0, 4 * _FILTER_PROBES, 4)]
        return [word % _FILTER_BITS for word in words]


@dataclass(frozen=True, slots=True)
class Allowance:
    """A token bucket's size and how fast it fills."""

    burst: float
    per_s: float


class Buckets:
    """Token buckets by name, the least recently used ones forgotten."""

    def __init__(self, allowance: Allowance, *, clock: Clock, most: int = _MOST_ADDRESSES) -> None:
        self._allowance = allowance
        self._clock = clock
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, name: str) -> float:
        """How long until the bucket holds one; 0 when it does now."""
        return max(0.0, (1.0 - self._level(name)) / self._allowance.per_s)

    def take(self, name: str) -> None:
        self._fill(name, max(0.0, self._level(name) - 1.0))

    def drain(self, name: str, *, for_s: float) -> None:
        """Leave so little that the bucket holds one again only after `for_s`."""
        self._fill(name, min(self._level(name), 1.0 - for_s * self._allowance.per_s))

    def _fill(self, name: str, level: float) -> None:
        self._left[name] = (level, self._clock.monotonic())
        self._left.move_to_end(name)
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def _level(self, name: str) -> float:
        level, at = self._left.get(name, (self._allowance.burst, 0.0))
        return min(self._allowance.burst, level + (self._clock.monotonic() - at) * self._allowance.per_s)


class UnknownCredentials:
    """The gate for credentials of which nothing is known: only failures count, so that good ones are free.

    Per client address, then for all together; and only so many at once are asked about.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        per_address: Allowance = Allowance(burst=200, per_s=10),
        together: Allowance = Allowance(burst=500, per_s=50),
        at_once: int = 8,
        most_waiting: int = 1000,
        shared: SharedLimit | None = None,
    ) -> None:
        self._by_address = Buckets(per_address, clock=clock)
        self._together = Buckets(together, clock=clock, most=1)
        self._asking = asyncio.Semaphore(at_once)
        self._most_waiting = most_waiting
        self._waiting = 0
        self._shared = shared

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """One of few who may ask at a time; raises `TooManyRequestsError` or `UnavailableError`."""
        self.check(peer)
        if self._waiting >= self._most_waiting:
            raise _crowded()
        self._waiting += 1
        try:
            async with place(self._asking):
                self.check(peer)  # those before us in the queue may have used it up
                yield
        finally:
            self._waiting -= 1

    def check(self, peer: str) -> None:
        wait_s = self._by_address.wait_s(network_of(peer))
        if wait_s > 0:
            raise too_many(wait_s)
        if self._together.wait_s("") > 0:
            raise _crowded()

    async def failed(self, peer: str) -> None:
        """Count a credential that was no good."""
        network = network_of(peer)
        self._by_address.take(network)
        self._together.take("")
        wait_s = await shared_wait_s(self._shared, network, kind="bad_credential")
        if wait_s is not None:
            self._by_address.drain(network, for_s=wait_s)


async def shared_wait_s(shared: SharedLimit | None, address: str, *, kind: str) -> float | None:
    """What all gateways together counted; None as well when that cannot be said, for each counts on its own too."""
    if shared is None:
        return None
    try:
        async with asyncio.timeout(_SHARED_S):
            return await shared(address, kind)
    except (UnavailableError, TimeoutError):
        return None


@asynccontextmanager
async def place(among: asyncio.Semaphore) -> AsyncIterator[None]:
    """One of few places, waited for within a bound; raises `UnavailableError` when none becomes free."""
    try:
        async with asyncio.timeout(_MOST_WAIT_S):
            await among.acquire()
    except TimeoutError:
        raise _crowded() from None
    try:
        yield
    finally:
        among.release()


def network_of(peer: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ip_address(peer)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped) if address.ipv4_mapped else str(ip_network((address, 64), strict=False))
    return str(address)


def too_many(wait_s: float) -> TooManyRequestsError:
    """The refusal of one client, who should come back after `wait_s`."""
    return TooManyRequestsError(
        "Too many requests without a valid credential come from your address.", retry_after_s=int(wait_s) + 1
    )


def _crowded() -> UnavailableError:
    return UnavailableError("Too many unknown credentials are being tried; try again.", retry_after_s=1)
