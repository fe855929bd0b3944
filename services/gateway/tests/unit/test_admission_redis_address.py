import pytest

from gateway.admission.address import RedisAddress, RedisMisconfiguredError


def test_an_address_says_where_and_as_whom():
    address = RedisAddress.of("redis://us%40er:p%2Fw@cache.internal:6380/3")

    assert (address.host, address.port, address.tls) == ("cache.internal", 6380, None)
    assert address.greeting() == [("AUTH", "us@er", "p/w"), ("SELECT", 3)]
    assert "p/w" not in repr(address)


def test_a_password_alone_is_the_default_users():
    assert RedisAddress.of("redis://:secret@127.0.0.1").greeting() == [("AUTH", "secret")]
    assert RedisAddress.of("redis://127.0.0.1/0").greeting() == []


def test_rediss_means_tls_that_is_verified():
    tls = RedisAddress.of("rediss://cache.internal").tls

    assert tls is not None
    assert tls.check_hostname


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://", "redis://127.0.0.1/x", "unix:///tmp/redis", ""])
def test_other_addresses_are_refused_by_name(url):
    with pytest.raises(RedisMisconfiguredError, match="redis://"):
        RedisAddress.of(url)
