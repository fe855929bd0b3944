from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.admission.hints import SHARDS, shard_keys, shard_of
from gateway.admission.hold import allocation_of, booked_allocation, instant_of, milliseconds_of, plan_of
from gateway.admission.scripts import AccountScripts, HintScripts, account_keys, calls_key
from gateway.admission.terms import quoted_plan

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_an_allocation_is_read_out_of_a_split_in_its_units():
    """(money.md 2, 9)."""
    slices = [str(uuid4()) for _ in range(4)]
    split = ",".join(f"{one}:{unit}={10**15 + 1}" for one, unit in zip(slices, "rtco", strict=True))

    allocation = allocation_of(split)

    assert [(one.slice_id, one.amount) for one in allocation] == [(one, 10**15 + 1) for one in slices]
    assert [one.unit for one in allocation] == ["request", "token", "credit", "credit"]
    assert [str(one.slice_id) for one in booked_allocation(allocation)] == slices
    assert allocation_of("") == ()


def test_what_stands_on_no_slice_is_no_allocation():
    assert allocation_of("-:c=12") == ()


@pytest.mark.parametrize("plan_id", ["trial", "a|b", "50%", "é,=", None])
def test_a_plan_survives_its_way_through_redis(plan_id):
    assert plan_of(quoted_plan(plan_id)) == plan_id
    assert "|" not in quoted_plan(plan_id)


@pytest.mark.parametrize(("microseconds", "milliseconds"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)])
def test_a_whole_millisecond_compares_with_a_rounded_bound_as_with_the_instant(microseconds, milliseconds):
    bound = NOON + timedelta(microseconds=microseconds)
    rounded = milliseconds_of(bound)

    assert rounded == milliseconds_of(NOON) + milliseconds
    for now_ms in range(rounded - 2, rounded + 3):
        assert (now_ms >= rounded) == (instant_of(now_ms) >= bound)


def test_all_keys_of_an_account_carry_its_hash_tag_and_a_hint_has_another():
    account_id = uuid4()

    assert all(key.startswith(f"{{{account_id.hex}}}:") for key in account_keys(account_id))
    assert calls_key(account_id) in account_keys(account_id)
    assert len({shard_of(uuid4()) for _ in range(500)}) == SHARDS
    assert all(key.startswith("{sweep:3}:") for key in shard_keys(3))


def test_no_script_turns_a_number_into_text_by_itself():
    """(money.md 2)."""
    scripts = AccountScripts(), HintScripts()
    bodies = [script.body for group in scripts for script in vars(group).values()]

    assert len(bodies) == 12
    for body in bodies:
        code = "\n".join(line.split("--")[0] for line in body.splitlines())
        assert "tostring" not in code
        assert "cjson" not in code
