"""One admitted call from its journal entry to its one usage event, with both sides in memory."""

import pytest

from contracts.terms import Terms
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator

from . import answers
from .world import target

CREDIT_RAN_OUT = b"balance ran out"


async def test_a_whole_answer_passes_and_the_hold_becomes_the_price(world_of):
    world = world_of()
    _, client = await world.call()

    world.provider.say(answers.whole(answers.message()))

    assert (client.status, client.body, client.ended) == (200, answers.message(), True)
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.counts.output_tokens) == ("completed", "provider", 42)
    assert usage.upstream_request_id == "req_p"
    (settled,) = world.admission.settled
    assert 0 < settled.credit_nano < world.admission.requests[0].amounts.credit_nano
    assert settled.rate_tokens == 25
    assert len(world.calls) == 0


async def test_a_call_is_journalled_before_it_is_sent(world_of):
    """(money.md 11)."""
    world = world_of()
    world.journal.error = RuntimeError("disk full")

    _, client = await world.call()

    assert client.status == 503
    assert world.provider.transports == []
    assert world.admission.given_back == world.journal.written
    assert world.publisher.events == []
    assert len(world.calls) == 0


async def test_nothing_looks_complete_before_the_event_is_stored(world_of):
    """(money.md 12)."""
    world = world_of()
    world.publisher.is_held = True
    _, client = await world.call(stream=True)

    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()) + answers.END)
    before = client.body
    world.publisher.release()

    assert before.endswith(answers.stop().removesuffix(answers.event("message_stop")))
    assert b"message_stop" not in before
    assert client.body == answers.stream()
    assert client.ended


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_event_that_cannot_be_stored_leaves_the_hold_to_the_sweeper(world_of, streamed):
    """(money.md 12, 14)."""
    world = world_of()
    world.publisher.answer = False
    _, client = await world.call(stream=streamed)

    if streamed:
        world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()) + answers.END)
        assert client.body.rpartition(b"event: error")[1]
        assert b"message_stop" not in client.body
    else:
        world.provider.say(answers.whole(answers.message()))
        assert client.status == 503
    assert world.admission.abandoned == world.journal.written
    assert world.admission.settled == []
    assert len(world.calls) == 0


async def test_the_event_is_stored_while_the_connection_still_ends(world_of):
    world = world_of()
    _, client = await world.call(stream=True)

    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()))
    stored_early = len(world.publisher.events)
    ended_early = client.ended
    world.provider.say(answers.END)

    assert (stored_early, ended_early, client.ended) == (1, False, True)
    assert client.body == answers.stream()


async def test_a_provider_that_never_closes_after_its_last_event_is_not_waited_for(world_of):
    world = world_of()
    _, client = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()))

    world.pass_time(2.5)

    assert client.ended
    assert client.body == answers.stream()
    assert world.publisher.usage.outcome == "completed"


@pytest.mark.parametrize("cut", ["shutdown", "swept", "out_of_credit"])
async def test_a_call_that_is_stopped_ends_with_an_error_and_is_charged_what_was_delivered(world_of, cut):
    """(money.md 6, 8, 14)."""
    world = world_of()
    _, client = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start() + answers.delta("word " * 40)))

    world.calls.stop(world.journal.written[0], cut)

    assert client.body.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.basis_reason, usage.error_type) == ("truncated", "estimated", cut, cut)
    assert usage.counts.output_tokens >= 40
    assert world.provider.last.aborted
    assert world.admission.settled[0].credit_nano > 0


async def test_a_broken_off_stream_never_ends_cleanly(world_of):
    world = world_of()
    _, client = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start() + answers.delta("word")))

    world.provider.last.lose(None)
    await world.turn()

    assert b"event: error" in client.body
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.basis_reason) == ("truncated", "estimated", "broken_off")


class CrashingSurface(MessagesSurface):
    """Ours, with a fault in it."""

    adds_to_answers = True

    def __init__(self, *, at: str) -> None:
        super().__init__(Estimator())
        self._at = at

    def splice(self, ask, **given):
        if self._at == "splice":
            raise ZeroDivisionError
        return super().splice(ask, **given)

    def stream_tee(self, ask):
        tee = super().stream_tee(ask)
        if self._at != "tee":
            return tee

        class Crashing(type(tee)):
            def feed(self, data):
                raise ZeroDivisionError

        return Crashing()

    def closing(self, ask, **given):
        if self._at == "closing":
            raise ZeroDivisionError
        return b""


@pytest.mark.parametrize(("at", "status"), [("splice", 500), ("tee", 500)])
async def test_a_fault_of_ours_ends_the_call_with_one_event(world_of, at, status):
    world = world_of(surface=CrashingSurface(at=at))
    _, client = await world.call(stream=True)

    if world.provider.transports:
        world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()) + answers.END)

    assert client.status == status
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.error_type) == ("truncated", "none", "internal")
    assert world.admission.settled[0].credit_nano == 0
    assert len(world.calls) == 0


async def test_a_fault_after_the_event_is_not_a_second_event(world_of):
    world = world_of(surface=CrashingSurface(at="closing"))
    _, client = await world.call(stream=True)

    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.stream()) + answers.END)

    assert len(world.publisher.events) == 1
    assert b"message_stop" not in client.body
    assert client.ended or client.aborted
    assert len(world.calls) == 0


async def test_a_client_that_leaves_is_drained_to_the_final_count(world_of):
    """(money.md 13)."""
    world = world_of()
    exchange, _ = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start()))

    exchange.lost()
    world.provider.say(answers.chunk(answers.stream().removeprefix(answers.start())) + answers.END)

    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.counts.output_tokens) == ("client_gone", "provider", 42)


async def test_a_drain_has_a_limit(world_of):
    world = world_of()
    exchange, _ = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start() + answers.delta("word")))

    exchange.lost()
    world.pass_time(119)
    early = list(world.publisher.events)
    world.pass_time(2)

    assert early == []
    usage = world.publisher.usage
    assert (usage.outcome, usage.basis, usage.basis_reason) == ("client_gone", "estimated", "client_gone")
    assert world.provider.last.aborted


async def test_a_plan_may_cancel_instead_of_drain(world_of):
    world = world_of(account={"terms": Terms(on_client_gone="cancel")})
    exchange, _ = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start() + answers.delta("word")))

    exchange.lost()

    assert world.provider.last.aborted
    assert (world.publisher.usage.outcome, world.publisher.usage.basis) == ("client_gone", "estimated")


async def test_a_client_that_is_gone_before_anything_was_sent_pays_nothing(world_of):
    world = world_of()
    world.journal.admitted_soon = lambda _admitted, **given: waiting.append(given["then"])
    waiting = []
    exchange, _ = await world.call(stream=True)

    exchange.lost()
    waiting[0](None)

    assert world.provider.transports == []
    assert (world.publisher.usage.outcome, world.publisher.usage.basis) == ("client_gone", "none")


async def test_a_slow_reader_slows_its_provider_and_nobody_else(world_of):
    world = world_of()
    exchange, _ = await world.call(stream=True)
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start()))

    exchange.paused = True
    world.provider.say(answers.chunk(answers.delta("word")))
    paused = world.provider.last.reading_is_paused
    exchange.paused = False
    exchange.watcher.on_resume()

    assert paused
    assert not world.provider.last.reading_is_paused


async def test_a_slow_reader_that_leaves_is_drained_all_the_same(world_of):
    world = world_of()
    exchange, _ = await world.call(stream=True)
    exchange.paused = True
    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start()))
    assert world.provider.last.reading_is_paused

    exchange.lost()

    assert not world.provider.last.reading_is_paused


async def test_silence_is_filled_with_pings_between_events_only(world_of):
    world = world_of(ping_after_s=10.0)
    _, client = await world.call(stream=True)
    first, half = answers.start(), answers.delta("a long word")[:20]
    world.provider.say(answers.STREAM_HEAD + answers.chunk(first + half))

    world.pass_time(9)
    quiet = client.body
    world.pass_time(1.5)
    world.pass_time(5)
    pinged = client.body
    world.provider.say(answers.chunk(answers.delta("a long word")[20:] + answers.stop()) + answers.END)

    assert quiet == first
    assert pinged == first + world.surface.ping
    assert client.body == pinged + answers.delta("a long word") + answers.stop()


async def test_an_open_stream_keeps_nothing_of_its_request(world_of):
    world = world_of()
    exchange, _ = await world.call(stream=True)
    (request,) = world.provider.requests()

    world.provider.say(answers.STREAM_HEAD + answers.chunk(answers.start()))

    call = exchange.watcher
    assert request[1]
    assert (exchange.body, call.order.ask.raw, call.order.ask.body) == (b"", b"", {})


async def test_the_operators_account_headers_stay_here(world_of):
    world = world_of()
    _, client = await world.call()
    world.provider.say(answers.whole(answers.message(), anthropic_organization_id="org"))

    assert client.header("anthropic-organization-id") is None
    assert client.header("request-id") == "req_p"
    assert client.header("faregate-request-id") == str(world.journal.written[0])


async def test_a_credential_goes_to_its_target_only(world_of):
    world = world_of(targets=(target("first"),))
    await world.call()

    ((head, body),) = world.provider.requests()

    assert head.startswith(b"POST /v1/messages HTTP/1.1\r\nhost: first.test\r\n")
    assert b"x-api-key: s3cret" in head
    assert b"max_tokens" in body
