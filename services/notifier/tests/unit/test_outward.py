"""No customer's URL leads to this machine, this network, or anywhere but where it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.adapters.chat import Chats
from notifier.adapters.outward import Outward, is_allowed, read_url
from notifier.errors import AddressForbiddenError

PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104  # refused, not bound
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",  # the metadata service of most clouds
    "100.100.100.200",  # and of another
    "100.64.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_never_connected_to(address: str) -> None:
    assert not is_allowed(address, may_be_local=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is(address: str) -> None:
    assert is_allowed(address, may_be_local=False)


@pytest.mark.parametrize(
    "address", sorted(set(PRIVATE) - {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"})
)
def test_the_sandbox_may_reach_this_machine_and_no_other_private_address(address: str) -> None:
    assert is_allowed("127.0.0.1", may_be_local=True)
    assert not is_allowed(address, may_be_local=True)


@given(number=st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_alike_however_it_is_written(number: int) -> None:
    dotted = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))

    assert is_allowed(dotted, may_be_local=False) == is_allowed(f"::ffff:{dotted}", may_be_local=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.com/", "https://"),
        ("ftp://hooks.example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("javascript:alert(1)", "https://"),
        ("https://", "host name"),
        ("https:///path", "host name"),
        ("https://user:secret@hooks.example.com/", "user name"),
        ("https://hooks.example.com@127.0.0.1/", "user name"),
        ("https://hooks.example.com:99999/", "not a URL"),
        ("https://hooks.example.com:port/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "host name"),
        ("https://hooks.example.com/a b", "printable"),
        ("https://hooks.example.com/\r\nhost: evil", "printable"),
        ("https://hööks.example.com/", "ASCII"),
        ("https://hooks.example.com/" + "a" * 2_000, "2,000"),
        ("https://127.0.0.1/", "not public"),
        ("https://[::ffff:127.0.0.1]/", "not public"),
        ("https://169.254.169.254/latest/meta-data/", "not public"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(AddressForbiddenError, match=reason):
        Outward(may_be_local=False).check(url)


@given(text=st.text(max_size=60))
def test_no_text_makes_reading_a_url_fail_otherwise(text: str) -> None:
    for url in (text, f"https://{text}", f"https://hooks.example.com{text}"):
        try:
            target = read_url(url, may_be_local=False)
        except AddressForbiddenError:
            continue
        assert target.scheme == "https"
        assert target.host


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("slack", "https://hooks.slack.com.evil.example/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
        ("slack", "http://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
        ("slack", "https://hooks.slack.com/"),
        ("discord", "https://discord.com/api/channels/1"),
        ("discord", "https://evil.example/api/webhooks/417429632418316298/JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF"),
        ("teams", "https://evil.example/workflows/a/triggers/manual/paths/invoke?api-version=1&sig=abc"),
        ("teams", "https://127.0.0.1/workflows/a/triggers/manual/paths/invoke?api-version=1&sig=abc"),
    ],
)
def test_a_chat_is_told_at_its_own_host_only(service: str, url: str) -> None:
    with pytest.raises(AddressForbiddenError):
        Chats(product="Faregate").check(service, url)
