"""The same key and body has one effect and one answer."""

import asyncio
from contextlib import suppress

import pytest

from kit import idempotency
from kit.database import Database
from kit.idempotency import IdempotencyConflictError


async def _pay(database: Database, effects: list[str], *, key: str, body: object) -> object:
    async with database.transaction() as session:
        attempt = await idempotency.begin(session, scope="account", route="POST /pay", key=key, body=body)
        if attempt.status is not None:
            return attempt.answer
        await asyncio.sleep(0.05)
        effects.append(key)
        await idempotency.finish(session, attempt, status=201, answer={"paid": body})
        return {"paid": body}


async def test_twenty_concurrent_uses_of_one_key_have_one_effect(database: Database) -> None:
    effects: list[str] = []

    answers = await asyncio.gather(*(_pay(database, effects, key="k", body={"amount": 1}) for _ in range(20)))

    assert effects == ["k"]
    assert all(answer == {"paid": {"amount": 1}} for answer in answers)


async def test_a_key_with_another_body_is_a_conflict(database: Database) -> None:
    effects: list[str] = []
    await _pay(database, effects, key="k", body={"amount": 1})

    with pytest.raises(IdempotencyConflictError):
        await _pay(database, effects, key="k", body={"amount": 2})

    assert effects == ["k"]


async def test_a_failed_use_leaves_the_key_free(database: Database) -> None:
    with suppress(RuntimeError):
        async with database.transaction() as session:
            await idempotency.begin(session, scope="account", route="r", key="k", body={})
            raise RuntimeError

    async with database.transaction() as session:
        assert (await idempotency.begin(session, scope="account", route="r", key="k", body={})).status is None


async def test_a_use_without_an_answer_is_a_repeat_until_it_is_released(database: Database) -> None:
    async def begin() -> idempotency.Attempt:
        async with database.transaction() as session:
            return await idempotency.begin(session, scope="account", route="POST /change", key="k", body={})

    first, second = await begin(), await begin()
    async with database.transaction() as session:
        await idempotency.release(session, second)
    third = await begin()
    async with database.transaction() as session:
        await idempotency.finish(session, third, status=200, answer={"done": True})
        await idempotency.release(session, third)
    fourth = await begin()

    assert [one.is_repeat for one in (first, second, third, fourth)] == [False, True, False, True]
    assert fourth.answer == {"done": True}
