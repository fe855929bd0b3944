"""Requests to addresses that customers chose: only public ones, checked as they are connected to, and no redirects.

A name is resolved once, every address it has is checked, and the connection goes to a checked address: a name that
leads elsewhere a moment later (DNS rebinding) changes nothing, and TLS still proves the name.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx2

from notifier.errors import AddressForbiddenError, EndpointGoneError, TemporaryError

_EMBEDDING: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"))
"""Translation prefixes and 6to4: the IPv4 address inside is where such an address really leads."""
_SPECIAL: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Protocol assignments, a cloud's metadata service among them, and 6to4 relays: not all Pythons call them private."""
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MOST_URL_CHARS: Final = 2_000
_RESOLVE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A URL's parts as far as they say where to connect."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(url: str, *, may_be_local: bool) -> Target:
    """Raises `AddressForbiddenError` with what is wrong about the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressForbiddenError("is not a URL") from None
    if len(url) > _MOST_URL_CHARS or not url.isascii() or any(char.isspace() or not char.isprintable() for char in url):
        raise AddressForbiddenError("is not a URL of at most 2,000 printable ASCII characters")
    if parts.scheme not in ({"https", "http"} if may_be_local else {"https"}):
        raise AddressForbiddenError("must begin with https://")
    if not parts.hostname or "%" in parts.hostname:
        raise AddressForbiddenError("has no host name")
    if parts.username is not None or parts.password is not None:
        raise AddressForbiddenError("must not hold a user name or password")
    return Target(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme], _path(parts))


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def is_allowed(address: str, *, may_be_local: bool) -> bool:
    """Whether a resolved address may be connected to: global unicast, or loopback where that is allowed."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found.teredo is not None or any(found in network for network in _EMBEDDING):
            return False
    if found.is_loopback:
        return may_be_local
    return _is_public(found)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """`is_global` leaves out private, link-local, shared and documentation ranges, but not every multicast one."""
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    if isinstance(address, IPv4Address) and any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


class Outward:
    """Posts to customers' addresses. `may_be_local` is for the sandbox: plain HTTP, and this very machine."""

    def __init__(self, *, may_be_local: bool, timeout_s: float = 15.0, verify: ssl.SSLContext | bool = True) -> None:
        self._may_be_local = may_be_local
        self._timeout_s = timeout_s
        # No connection is kept: one that was proved for a name must not serve another that has the same address.
        self._http = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            verify=verify,
            timeout=timeout_s,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def check(self, url: str) -> Target:
        """What can be said without asking anybody; raises `AddressForbiddenError`."""
        target = read_url(url, may_be_local=self._may_be_local)
        try:
            literal = str(ipaddress.ip_address(target.host))
        except ValueError:
            return target
        if not is_allowed(literal, may_be_local=self._may_be_local):
            raise AddressForbiddenError("leads to an address that is not public")
        return target

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> None:
        """Raises `TemporaryError` unless the answer is 2xx; the answer's body is never read."""
        target = self.check(url)
        address = await self._resolved(target)
        host = f"[{address}]" if ":" in address else address
        request = self._http.build_request(
            "POST",
            f"{target.scheme}://{host}:{target.port}{target.path}",
            content=content,
            headers={**headers, "host": target.authority, "user-agent": "Faregate-Webhooks/1"},
            extensions={"sni_hostname": target.host},
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._http.send(request, stream=True)
                await answer.aclose()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, ValueError) as error:
            raise TemporaryError(f"the endpoint does not answer: {type(error).__name__}") from None
        _check_status(answer.status_code)

    async def _resolved(self, target: Target) -> str:
        """One address of the name; raises when any of them may not be reached."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            raise TemporaryError("the endpoint's name does not resolve") from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not addresses or not all(is_allowed(one, may_be_local=self._may_be_local) for one in addresses):
            raise AddressForbiddenError("leads to an address that is not public")
        return addresses[0]

    async def close(self) -> None:
        await self._http.aclose()


def _check_status(status: int) -> None:
    if status == 410:
        raise EndpointGoneError("the endpoint answered 410: it is gone")
    if 300 <= status < 400:
        raise TemporaryError(f"the endpoint answered {status}: redirects are not followed")
    if not 200 <= status < 300:
        raise TemporaryError(f"the endpoint answered {status}")
