import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import apikeys


@pytest.mark.parametrize("mode", ["live", "test", "session"])
def test_what_is_made_is_well_formed_and_never_twice_the_same(mode):
    keys = {apikeys.make(mode) for _ in range(1000)}

    assert len(keys) == 1000
    assert all(apikeys.well_formed(key) for key in keys)
    assert all(key.startswith(f"fg_{mode}_") and len(key) == 42 + len(mode) for key in keys)


def test_the_checksum_is_the_crc32_in_base_62():
    body = "fg_live_" + "0" * 32
    number = 0
    for character in apikeys.checksum(body):
        number = number * 62 + apikeys.ALPHABET.index(character)

    assert number == zlib.crc32(body.encode())
    assert len(apikeys.checksum("")) == 6
    assert apikeys.checksum("") == "000000"


@given(st.integers(8, 45), st.sampled_from(apikeys.ALPHABET))
def test_one_wrong_character_is_always_found(position, character):
    key = "fg_test_" + "A" * 32
    key += apikeys.checksum(key)
    wrong = key[:position] + character + key[position + 1 :]

    assert apikeys.well_formed(wrong) == (wrong == key)


@given(st.text(max_size=60))
def test_any_text_is_judged_without_an_error(text):
    assert apikeys.well_formed(text) is False


@pytest.mark.parametrize("around", [" {}", "{} ", "{}\n", "{}0", "Bearer {}"])
def test_nothing_may_stand_round_a_key(around):
    assert not apikeys.well_formed(around.format(apikeys.make("live")))
