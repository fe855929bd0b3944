"""Random schedules of calls, crashes, pauses, lost and reordered snapshots, Kafka outages and Redis losses."""

import os

import pytest

from gateway.admission import RedisConnection

from .world import World

SEEDS = int(os.environ.get("FAREGATE_TEST_SCHEDULES", "240"))
ONLY = os.environ.get("FAREGATE_TEST_SEED", "")
STEPS = 70
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
async def test_no_schedule_breaks_a_rule(stack, part):
    """(money.md 2-6, 14, 29)."""
    redis = RedisConnection(stack.redis_url)
    for seed in [int(ONLY)] if ONLY else range(part, SEEDS, PARTS):
        world = World(seed, redis)
        try:
            await world.reload()
            for _ in range(STEPS):
                await world.step()
                await world.check()
            await world.rest()
        except AssertionError as broken:
            steps = "\n".join(map(str, world.log[-20:]))
            raise AssertionError(f"seed {seed}, step {len(world.log)}: {broken}\nlast steps:\n{steps}") from broken
        finally:
            await world.forget_all()
    await redis.stop()
