"""Ids are ordered by time or made from facts; back-off grows within its bounds."""

import multiprocessing
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.backoff import Backoff
from kit.clock import ManualClock
from kit.ids import fact_id, fact_text, uuid7, uuid7_instant


def test_a_uuid7_carries_its_millisecond_and_its_version() -> None:
    clock = ManualClock()

    made = uuid7(clock)

    assert made.version == 7
    assert made.variant == UUID("0199f3a0-0000-7000-8000-000000000000").variant
    assert uuid7_instant(made) == clock.now()


def test_later_uuid7s_sort_behind_earlier_ones() -> None:
    clock = ManualClock()
    earlier = uuid7(clock)
    clock.advance(0.001)

    assert earlier < uuid7(clock)


def test_ids_of_one_millisecond_differ_in_their_random_bits_only() -> None:
    clock = ManualClock()

    made = {uuid7(clock) for _ in range(1000)}

    assert len(made) == 1000
    assert {one.int >> 76 for one in made} == {next(iter(made)).int >> 76}
    assert {one.variant for one in made} == {"specified in RFC 4122"}


def test_a_forked_process_makes_ids_of_its_own() -> None:
    uuid7(ManualClock())  # what is fetched ahead is in memory when the process forks

    with multiprocessing.get_context("fork").Pool(1) as forked:
        theirs = forked.apply(uuid7, [ManualClock()])

    assert theirs != uuid7(ManualClock())


def test_only_a_uuid7_tells_its_instant() -> None:
    with pytest.raises(ValueError, match="not a UUIDv7"):
        uuid7_instant(uuid4())


def test_a_fact_has_one_id_and_other_facts_have_others() -> None:
    assert fact_id("threshold", 1, "empty") == fact_id("threshold", "1", "empty")
    assert fact_id("a", "bc") != fact_id("ab", "c")
    assert fact_id("a").version == 8
    assert fact_id("threshold", 1, "empty") == UUID("14f5b1a2-3f06-837b-95d0-02e0bd627f21")


@given(st.lists(st.one_of(st.uuids(), st.integers(), st.text()), min_size=1))
def test_a_fact_has_one_id_as_text_too(parts: list[object]) -> None:
    assert fact_text(*parts) == str(fact_id(*parts))


@given(st.integers(min_value=1, max_value=60))
def test_back_off_stays_between_half_and_whole_of_its_ceiling(failures: int) -> None:
    backoff = Backoff(first_s=0.1, most_s=5.0)

    delays = [backoff.next_s() for _ in range(failures)]

    assert all(0.05 <= delay <= 5.0 for delay in delays)
    assert delays[-1] >= min(5.0, 0.1 * 2 ** (failures - 1)) / 2
