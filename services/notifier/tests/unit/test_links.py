"""Links that nobody can make up, and addresses that cannot be read."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.adapters.keys import AddressHashes, UnsubscribeLinks

LINKS = UnsubscribeLinks("a secret", public_url="https://faregate.example")


def token_of(**said: object) -> str:
    return LINKS.url(**{"user_id": uuid4(), "account_id": uuid4(), "kind": "credit-low-25", **said}).partition("=")[2]


def test_a_link_says_who_where_and_what() -> None:
    user_id, account_id = uuid4(), uuid4()

    assert LINKS.read(token_of(user_id=user_id, account_id=account_id)) == (user_id, account_id, "credit-low-25")


@given(place=st.integers(0, 200), char=st.sampled_from("AZaz09-_"))
def test_a_changed_link_is_none(place: int, char: str) -> None:
    token = token_of()
    place %= len(token) - 1  # the last character holds bits that do not count
    changed = token[:place] + char + token[place + 1 :]

    assert (LINKS.read(changed) is None) == (changed != token)


@pytest.mark.parametrize("token", ["", "x", "!!!!", "AAAA", "ä" * 40, "A" * 5_000])
def test_what_is_no_link_is_none(token: str) -> None:
    assert LINKS.read(token) is None
    assert UnsubscribeLinks("another", public_url="").read(token_of()) is None


def test_an_address_is_recognised_however_it_is_written_and_only_with_the_key() -> None:
    hashes = AddressHashes("a secret")

    assert hashes.of(" Ada@Mail.Example ") == hashes.of("ada@mail.example")
    assert hashes.of("ada@mail.example") != AddressHashes("another").of("ada@mail.example")
