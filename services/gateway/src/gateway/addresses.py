"""Who a client is, by address: the socket's peer, or what proxies say that are trusted by name."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that `texts` name; raises `ValueError`."""
    return tuple(ip_network(text.strip()) for text in texts if text.strip())


def client_address(peer: str, forwarded: Sequence[bytes], *, trusted: Sequence[Network]) -> str:
    """The client's address: `peer`, or behind trusted proxies the right-most untrusted in X-Forwarded-For.

    What cannot be read as an address ends the walk: the last proxy that is known stands for what is behind it.
    """
    if not trusted:
        return peer
    nearest = _parsed(peer)
    if nearest is None or not _is_trusted(nearest, trusted):
        return peer
    for text in reversed(b",".join(forwarded).decode("latin-1").split(",")):
        hop = _parsed(text.strip(" \t"))
        if hop is None:
            break
        nearest = hop
        if not _is_trusted(hop, trusted):
            break
    return str(nearest)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
