"""A background task that ends by itself makes the process not live, by name."""

import asyncio

import pytest

from kit.tasks import Tasks, is_stopping


async def forever() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise KeyError("a bug")


async def cancelled_by_a_library() -> None:
    raise asyncio.CancelledError


async def finished() -> None:
    return


@pytest.mark.parametrize("work", [broken, cancelled_by_a_library, finished])
async def test_a_task_that_ended_is_named(work: object) -> None:
    tasks = Tasks()
    tasks.start("relay", forever())
    await tasks.live()
    tasks.start("consumer", work())  # type: ignore[operator]
    await asyncio.sleep(0.01)

    with pytest.raises(RuntimeError, match="task consumer ended"):
        await tasks.live()

    await tasks.stop()
    await tasks.live()


async def test_stopping_waits_only_so_long_for_a_task_that_does_not_listen() -> None:
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    tasks = Tasks()
    tasks.start("deaf", deaf())
    await asyncio.sleep(0.01)

    async with asyncio.timeout(2):
        await tasks.stop(timeout_s=0.1)
    released.set()


async def test_a_cancellation_of_a_library_is_told_from_one_of_ours() -> None:
    seen: list[bool] = []

    async def listen() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(is_stopping())

    assert not is_stopping()
    task = asyncio.create_task(listen())
    await asyncio.sleep(0.01)
    task.cancel()
    await task

    assert seen == [True]
