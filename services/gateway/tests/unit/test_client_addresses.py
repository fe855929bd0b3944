"""Who a client is, when proxies stand before the gateway."""

import pytest

from gateway.addresses import client_address, networks_of

TRUSTED = networks_of(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [b"198.51.100.7"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"192.0.2.66, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, 10.0.0.2,10.0.0.3"], "198.51.100.7"),
        ("10.0.0.1", [b"192.0.2.66", b"198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", [b"10.0.0.4, 10.0.0.2"], "10.0.0.4"),
        ("10.0.0.1", [b"198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "10.0.0.1"),
        ("10.0.0.1", [b"010.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7,"], "10.0.0.1"),
        ("10.0.0.1", [b"\xff"], "10.0.0.1"),
        ("2001:db8::1", [b"2001:DB9::0001"], "2001:db9::1"),
        ("::ffff:10.0.0.1", [b"::ffff:198.51.100.7"], "198.51.100.7"),
        ("not an address", [b"198.51.100.7"], "not an address"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_trusted(peer: str, forwarded: list[bytes], client: str):
    assert client_address(peer, forwarded, trusted=TRUSTED) == client


def test_nobody_is_trusted_by_default():
    assert client_address("10.0.0.1", [b"198.51.100.7"], trusted=()) == "10.0.0.1"


def test_a_network_that_is_none_is_refused():
    with pytest.raises(ValueError, match="host bits"):
        networks_of(["10.0.0.1/8"])
