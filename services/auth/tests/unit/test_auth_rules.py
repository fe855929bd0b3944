import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from auth.adapters import addresses, totp
from auth.adapters.passwords import TURNS_BESIDE, WAITING_MOST, Passwords
from auth.adapters.sealing import Sealer, WrongKeyError
from auth.domain.limits import DelayPolicy
from auth.domain.passwords import common_passwords, weakness
from auth.entrypoints.parts import network_of
from auth.errors import AddressError
from kit.errors import UnavailableError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "password", ["password", "Password1", "QWERTYUIOP", "12345678", "letmein123", " password ", "abababab"]
)
def test_common_passwords_are_refused(password):
    assert weakness(password, address="ada@example.com") is not None


@pytest.mark.parametrize("password", ["correct horse battery", "пароль-длинный", "tr0ub4dor", "x y z x y z"])
def test_other_passwords_need_no_composition(password):
    assert weakness(password, address="ada@example.com") is None


def test_the_ten_thousand_most_common_passwords_are_refused():
    assert len(common_passwords()) > 10_000
    assert {"trustno1", "1q2w3e4r", "qwerty123", "jordan23"} <= common_passwords()


def test_delays_double_up_to_a_bound_and_are_forgotten():
    policy, failures, waits = DelayPolicy(free=3, most_s=10), None, []
    for _ in range(8):
        failures = policy.after(failures, now=NOW)
        waits.append((failures.blocked_until - NOW).total_seconds() if failures.blocked_until else 0)

    assert waits == [0, 0, 1, 2, 4, 8, 10, 10]
    assert policy.after(failures, now=NOW + timedelta(hours=2)).attempts == 1


@given(st.integers(1, 10_000))
def test_no_number_of_failures_waits_longer_than_the_bound(attempts):
    policy = DelayPolicy(free=3, most_s=900)
    failures = None
    for _ in range(min(attempts, 60)):
        failures = policy.after(failures, now=NOW)

    assert failures.wait_s(NOW) <= 901


@pytest.mark.parametrize(
    ("given_address", "normal"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("JOSÉ@example.com", "josé@example.com"),
    ],
)
def test_addresses_have_one_normal_form(given_address, normal):
    assert addresses.parse(given_address)[1] == normal


@pytest.mark.parametrize(
    "bad", ["", "ada", "ada@", "@example.com", "ada@localhost", "a b@example.com", "ada@example.test"]
)
def test_what_is_no_address_is_refused(bad):
    with pytest.raises(AddressError):
        addresses.parse(bad)


def test_reserved_names_pass_where_they_may():
    assert addresses.parse("ada@example.test", reserved_names=True)[1] == "ada@example.test"


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("127.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "nonsense", "unknown"),
    ],
)
def test_the_network_is_what_a_trusted_proxy_saw(peer, forwarded, network):
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    request = Request({"type": "http", "headers": headers, "client": (peer, 1)})

    assert network_of(request, [ip_network("127.0.0.0/8")]) == network


def test_what_is_sealed_opens_with_its_key_and_name_only():
    sealed = Sealer(b"k" * 32).seal(b"secret", name="one")

    assert Sealer(b"k" * 32).open(sealed, name="one") == b"secret"
    for key, name in ((b"x" * 32, "one"), (b"k" * 32, "two")):
        with pytest.raises(WrongKeyError):
            Sealer(key).open(sealed, name=name)


async def test_an_unknown_user_costs_as_much_as_a_known_one():
    passwords = Passwords(threads=1)
    await passwords.warm()
    known = await passwords.hash("correct horse battery")

    async def fastest_s(password_hash: str | None) -> float:
        taken = []
        for _ in range(9):
            began = time.perf_counter()
            verdict = await passwords.verify(password_hash, "not the one")
            taken.append(time.perf_counter() - began)
            assert verdict.right is False
        return min(taken)

    assert 0.5 < await fastest_s(None) / await fastest_s(known) < 2
    passwords.close()


async def test_the_decoy_lets_nobody_in():
    passwords = Passwords(threads=1)

    assert (await passwords.verify(None, "")).right is False
    assert (await passwords.verify("not a hash", "x")).right is False
    passwords.close()


async def test_a_crowd_is_let_in_a_few_at_a_time_and_what_is_too_much_is_refused():
    """Whoever waits holds nothing, so that a hundred who sign in at once leave connections to everybody else."""
    passwords, entered, leave = Passwords(threads=1), [], asyncio.Event()

    async def enter(number: int) -> None:
        async with passwords.turn():
            entered.append(number)
            await leave.wait()

    crowd = [asyncio.create_task(enter(number)) for number in range(WAITING_MOST)]
    await asyncio.sleep(0)
    inside = list(entered)
    with pytest.raises(UnavailableError, match="Too many are signing in"):
        await enter(-1)
    leave.set()
    await asyncio.gather(*crowd)
    await enter(WAITING_MOST)

    assert inside == list(range(1 + TURNS_BESIDE))
    assert entered == list(range(WAITING_MOST + 1))
    passwords.close()


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(second, code):
    """The last six digits of the RFC's vectors, which have eight."""
    secret = base64.b32encode(b"12345678901234567890").decode()

    assert pyotp.TOTP(secret).at(second) == code
    now = datetime.fromtimestamp(second, tz=UTC)
    assert totp.matching_step(secret, code, now=now, after=second // 30 - 1) == second // 30
    assert totp.matching_step(secret, code, now=now, after=second // 30) is None
    assert totp.matching_step(secret, code, now=now + timedelta(seconds=60), after=0) is None
