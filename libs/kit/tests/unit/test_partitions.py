from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from kit.partitions import key_hash, key_hashes

uuids = st.uuids().map(lambda made: str(made).encode())


@given(st.binary(max_size=60))
def test_a_key_stays_on_the_partition_that_every_other_producer_chooses(key: bytes) -> None:
    assert key_hash(key) == murmur2(key) & 0x7FFFFFFF


@given(st.lists(st.one_of(uuids, st.binary(min_size=36, max_size=36), st.binary(max_size=60)), max_size=30))
def test_many_keys_get_the_hashes_that_each_gets_alone(keys: list[bytes]) -> None:
    assert key_hashes(keys) == [murmur2(key) & 0x7FFFFFFF for key in keys]
