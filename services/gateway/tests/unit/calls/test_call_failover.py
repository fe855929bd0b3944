"""Where a call goes when its first target does not serve."""

import pytest

from . import answers
from .world import target

BOTH = (target("first"), target("second"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, "failed"),
        (402, "failed"),
        (403, "failed"),
        (408, "failed"),
        (429, "rate_limited"),
        (500, "failed"),
        (502, "failed"),
        (503, "overloaded"),
        (529, "overloaded"),
        (302, "failed"),
    ],
)
async def test_a_target_that_does_not_serve_is_followed_by_the_next(world_of, status, outcome):
    world = world_of(targets=BOTH)
    _, client = await world.call()

    world.provider.say(answers.whole(answers.error("api_error"), status, retry_after="7"))
    await world.turn()
    world.provider.say(answers.whole(answers.message()))

    assert (client.status, client.body) == (200, answers.message())
    assert world.routing.reports == [("first", outcome, 7.0), ("second", "ok", None)]
    usage = world.publisher.usage
    assert (usage.route, usage.credential_id, usage.attempts, usage.outcome) == (
        "second",
        "second/key",
        2,
        "completed",
    )


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
async def test_a_clients_fault_is_not_tried_elsewhere(world_of, status):
    world = world_of(targets=BOTH)
    _, client = await world.call()

    world.provider.say(answers.whole(answers.error("invalid_request_error"), status))

    assert (client.status, client.body) == (status, answers.error("invalid_request_error"))
    assert world.routing.reports == [("first", "client_fault", None)]
    assert len(world.provider.transports) == 1
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.http_status) == ("upstream_error", "none", status)


async def test_a_target_that_cannot_be_reached_is_followed_by_the_next(world_of):
    world = world_of(targets=BOTH)
    world.provider.refusals.append(ConnectionRefusedError())
    _, client = await world.call()
    await world.turn()

    world.provider.say(answers.whole(answers.message()))

    assert client.status == 200
    assert [address.host for address in world.provider.addresses] == ["first.test", "second.test"]


async def test_a_stream_that_fails_before_its_first_byte_goes_on_elsewhere(world_of):
    world = world_of(targets=BOTH)
    _, client = await world.call(stream=True)

    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.OVERLOADED))
    await world.turn()
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()) + answers.END)

    assert client.body == answers.stream()
    assert world.publisher.usage.attempts == 2


async def test_after_the_first_byte_no_other_target_answers(world_of):
    world = world_of(targets=BOTH)
    _, client = await world.call(stream=True)

    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start() + answers.OVERLOADED) + answers.END)

    assert client.body == answers.start() + answers.OVERLOADED
    assert len(world.provider.transports) == 1
    assert world.publisher.usage.outcome == "upstream_error"


async def test_falling_over_to_another_model_is_priced_as_what_served(world_of):
    other = target("second", serves="claude-opus-5-5")
    world = world_of(targets=(target("first"), other))
    await world.call()

    world.provider.say(answers.whole(answers.error("overloaded_error"), 529))
    await world.turn()
    ((_, _), (_, body)) = world.provider.requests()
    world.provider.say(answers.whole(answers.message("something-unknown")))

    assert b'"claude-opus-5-5"' in body
    assert world.publisher.usage.model_served == "claude-opus-5-5"


@pytest.mark.parametrize(("status", "seen"), [(429, 529), (401, 503), (402, 503), (500, 500), (529, 529)])
async def test_when_all_targets_fail_the_answer_is_not_about_the_client(world_of, status, seen):
    world = world_of(targets=BOTH)
    _, client = await world.call()

    for _ in BOTH:
        world.provider.say(answers.whole(answers.error("x_error"), status))
        await world.turn()

    assert client.status == seen
    assert client.header("retry-after") or status == 500
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.attempts) == ("upstream_error", "none", 2)


async def test_when_no_target_can_be_reached_the_answer_is_overloaded(world_of):
    world = world_of(targets=BOTH)
    world.provider.refusals.extend([ConnectionRefusedError(), TimeoutError()])

    _, client = await world.call()
    await world.turn()

    assert client.status == 529
    assert client.header("x-should-retry") == "true"
    assert client.header("retry-after") == "1"
    assert (world.publisher.usage.outcome, world.publisher.usage.http_status) == ("upstream_error", None)


async def test_nobody_fails_over_for_a_client_that_is_gone(world_of):
    world = world_of(targets=BOTH)
    exchange, _ = await world.call()
    exchange.lost()

    world.provider.say(answers.whole(answers.error("overloaded_error"), 529))

    assert len(world.provider.transports) == 1
    assert world.publisher.usage.basis == "none"
