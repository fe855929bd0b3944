"""The proofs of `make proofs` with fewer calls; in one file, so that one fleet is brought up for all of them.

Without what others show: caps with nobody killed are the second halves of these, and Kafka goes away in `test_faults`.
"""

import pytest
from tests.e2e import test_hard_cap as cap
from tests.e2e import test_rolling_restart as rolling
from tests.e2e import test_servers_lost as servers
from tests.e2e.fleet import Fleet

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

# Three times what the balance pays for.
CALLS = 150


async def test_the_balance_is_a_hard_cap_when_gateways_and_ledger_die(fleet: Fleet, record_property: cap.Tell) -> None:
    await cap.test_a_strict_plan_never_spends_more_than_its_balance_when_gateways_and_ledger_die(
        fleet, record_property, calls=CALLS
    )


async def test_an_elastic_hold_passes_the_balance_by_a_step_at_most_when_gateways_and_ledger_die(
    fleet: Fleet, record_property: cap.Tell
) -> None:
    await cap.test_an_elastic_plan_spends_at_most_a_step_a_call_beyond_its_balance_when_gateways_and_ledger_die(
        fleet, record_property, calls=CALLS
    )


async def test_a_worker_told_to_stop_under_load_loses_nothing(fleet: Fleet) -> None:
    await rolling.test_workers_told_to_stop_one_by_one_lose_nothing(fleet, stopped=1)


async def test_an_empty_redis_in_the_middle_of_many_calls_lets_nobody_spend_twice(
    fleet: Fleet, record_property: cap.Tell
) -> None:
    await servers.test_an_empty_redis_in_the_middle_of_many_calls_lets_nobody_spend_twice(
        fleet, record_property, seconds=2
    )
