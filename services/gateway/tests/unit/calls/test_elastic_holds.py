"""A hold that grows with what is delivered (money.md 8)."""

import pytest

from contracts.terms import Terms

from . import answers
from .world import World

STEP = 100


@pytest.fixture
def elastic(world_of) -> World:
    account = {"admission": "elastic", "terms": Terms(elastic_step_tokens=STEP)}
    return world_of(account=account)


async def streaming(world: World, **changes):
    _, client = await world.call(**{"stream": True, "max_tokens": 1000, **changes})
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start()))
    return client


def say(world: World, tokens: int) -> None:
    for _ in range(tokens // 10):
        world.provider.say(answers.chunk(answers.delta("x" * 38)))


def burst(world: World, tokens: int, *, also: bytes = b"") -> None:
    """All of it in one read."""
    world.provider.say(b"".join([answers.chunk(answers.delta("x" * 38))] * (tokens // 10)) + also)


async def test_a_stream_reserves_its_input_and_a_first_step(elastic, world_of):
    await streaming(elastic)
    strict = world_of()
    await streaming(strict)

    (first,) = elastic.admission.requests
    (worst,) = strict.admission.requests
    assert first.amounts.credit_nano < worst.amounts.credit_nano / 2
    assert first.max_tokens == worst.max_tokens == 1000


async def test_what_is_not_streamed_reserves_the_worst_case(elastic, world_of):
    await elastic.call(max_tokens=1000)
    strict = world_of()
    await strict.call(max_tokens=1000)

    assert elastic.admission.requests[0].amounts == strict.admission.requests[0].amounts


async def test_the_hold_is_extended_at_seventy_per_cent(elastic):
    client = await streaming(elastic)
    say(elastic, 60)
    assert elastic.admission.extensions == []
    say(elastic, 20)

    ((amounts, then),) = elastic.admission.extensions
    then(True)
    assert amounts.credit_nano > elastic.admission.requests[0].amounts.credit_nano
    assert not elastic.provider.last.reading_is_paused
    elastic.provider.say(answers.chunk(answers.stop(80)) + answers.END)
    assert client.ended
    assert elastic.publisher.usage.outcome == "completed"


async def test_nothing_is_read_beyond_the_hold_while_the_answer_is_awaited(elastic):
    await streaming(elastic)
    say(elastic, 130)
    paused = elastic.provider.last.reading_is_paused
    ((_, then),) = elastic.admission.extensions

    then(True)

    assert paused
    assert not elastic.provider.last.reading_is_paused


async def test_when_nothing_is_left_the_stream_ends_with_an_error_and_is_charged_what_was_delivered(elastic):
    client = await streaming(elastic)
    say(elastic, 80)
    elastic.admission.extensions[0][1](False)
    goes_on = not elastic.provider.last.aborted
    say(elastic, 20)

    elastic.admission.extensions[1][1](False)

    assert goes_on
    last = client.body.rstrip().rpartition(b"\n\n")[2]
    assert last.startswith(b"event: error")
    assert b"billing_error" in last
    assert elastic.provider.last.aborted
    usage = elastic.publisher.usage
    assert (usage.outcome, usage.basis, usage.basis_reason) == ("truncated", "estimated", "out_of_credit")
    assert 90 <= usage.counts.output_tokens <= 110
    held = elastic.admission.requests[0].amounts.credit_nano
    assert elastic.admission.settled[0].credit_nano <= held


async def test_money_that_comes_in_meanwhile_lets_the_stream_go_on(elastic):
    await streaming(elastic)
    say(elastic, 80)
    elastic.admission.extensions[0][1](False)
    say(elastic, 20)

    elastic.admission.extensions[1][1](True)

    assert not elastic.provider.last.aborted
    assert not elastic.provider.last.reading_is_paused


async def test_an_answer_that_comes_in_one_burst_does_not_overrun_the_hold(elastic):
    """(money.md 8): what one read brought is passed on no further than the hold and a small piece."""
    client = await streaming(elastic, max_tokens=4000)

    burst(elastic, 3000)
    delivered = client.body.count(b"event: content_block_delta")
    elastic.admission.extensions[0][1](True)
    later = client.body.count(b"event: content_block_delta")

    assert delivered * 10 < STEP + 256
    assert delivered < later < 2 * delivered + STEP // 10
    assert elastic.publisher.events == []


async def test_an_answer_that_ended_in_one_burst_is_whole_once_the_hold_allows_it(elastic):
    client = await streaming(elastic, max_tokens=1000)

    burst(elastic, 300, also=answers.chunk(answers.stop(300)) + answers.END)
    early = list(elastic.publisher.events)
    for number in range(9):
        if number < len(elastic.admission.extensions):
            elastic.admission.extensions[number][1](True)

    assert early == []
    assert client.ended
    assert elastic.publisher.usage.outcome == "completed"
    assert elastic.publisher.usage.counts.output_tokens == 300


@pytest.mark.parametrize("answer", ["confirmed", "swept"])
async def test_a_hold_that_is_booked_or_swept_ends_the_stream_with_an_error(elastic, answer):
    """(money.md 6, 14)."""
    client = await streaming(elastic)
    say(elastic, 80)

    elastic.admission.extensions[0][1](answer)

    assert client.body.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")
    assert elastic.publisher.usage.error_type == "swept"


async def test_while_redis_is_away_what_is_reserved_is_delivered_and_then_it_is_asked_again(elastic):
    await streaming(elastic)
    say(elastic, 80)
    elastic.admission.extensions[0][1](ConnectionError())
    say(elastic, 40)
    paused = elastic.provider.last.reading_is_paused

    elastic.admission.extensions[1][1](ConnectionError())
    elastic.pass_time(0.25)
    elastic.admission.extensions[2][1](True)

    assert paused
    assert not elastic.provider.last.reading_is_paused


async def test_the_last_step_is_not_beyond_max_tokens(elastic):
    await streaming(elastic, max_tokens=150)
    say(elastic, 80)

    ((amounts, then),) = elastic.admission.extensions
    then(True)
    say(elastic, 60)

    assert len(elastic.admission.extensions) == 1
    assert amounts.credit_nano > elastic.admission.requests[0].amounts.credit_nano


async def test_a_drain_ends_where_the_hold_does(elastic):
    exchange, _ = await elastic.call(stream=True, max_tokens=1000)
    elastic.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start()))
    exchange.lost()
    say(elastic, 80)
    elastic.admission.extensions[0][1](False)
    say(elastic, 20)

    elastic.admission.extensions[1][1](False)

    assert elastic.provider.last.aborted
    assert len(elastic.publisher.events) == 1
