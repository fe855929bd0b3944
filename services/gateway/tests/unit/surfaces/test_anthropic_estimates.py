"""The worst case of a call: never below what can be charged, in every unit; unknown content reserves the window."""

import base64
from datetime import UTC, datetime, timedelta
from math import ceil

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ModelApiError
from gateway.surfaces.anthropic.ask import parse_ask
from gateway.surfaces.anthropic.bounds import bounds_of
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator
from rating import CacheUse, CallBounds, Iteration, TokenCounts, Usage, charge, dearest_case, price_of
from rating.plan_tokens import plan_tokens_of

MODEL = "claude-haiku-5-5"
WINDOW = 1_000_000
PROSE = "A tram crosses the river at noon and nobody on board checks the time. " * 60


def body_of(text: str = "Hello", **changes: object) -> dict[str, object]:
    return {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": text}], **changes}


def bounds(**changes: object):
    return bounds_of(parse_ask(orjson.dumps(body_of(**changes))), model=MODEL)


@pytest.fixture(scope="module")
def estimate(book, at, terms_with, chosen):
    surface = MessagesSurface(Estimator())

    def make(body: dict[str, object] | None = None, *, terms=None, others: tuple[str, ...] = (), near: bool = False):
        ask = parse_ask(orjson.dumps(body or body_of()))
        choice = chosen(ask.model, *others, near=near)
        return surface.estimate(ask, choice, book=book, terms=terms or terms_with(), at=at)

    return make


COUNTS = st.integers(0, 2_000)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-5-5"]),
    st.sampled_from([None, "5m", "1h"]),
    st.sampled_from([None, "us"]),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    st.integers(0, 500),
)
def test_the_hold_covers_every_charge_within_it(
    book, at, estimate, terms_with, model, ttl: str | None, geo: str | None, parts: tuple[int, ...], output: int
):
    control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    system = [{"type": "text", "text": PROSE, **control}]
    body = body_of(model=model, system=system, **({"inference_geo": geo} if geo else {}))
    terms = terms_with(
        terms={
            "weights": [{"token_class": "output", "hundredths": 500}, {"token_class": "cache_read", "hundredths": 10}],
            "overage": {"policy": "bill", "nano_per_1k_tokens": "2500001"},
        }
    )
    try:
        worst = estimate(body, terms=terms).worst()
    except ModelApiError as refused:
        assert "not sold" in refused.message or "model:" in refused.message  # noqa: PT017
        return
    most = bounds_of(parse_ask(orjson.dumps(body)), model=model).input_tokens
    whole = sum(parts) or 1
    plain, five, hour, read = (part * most // whole for part in parts)
    counts = TokenCounts(
        input_tokens=plain,
        cache_write_5m_tokens=five if ttl else 0,
        cache_write_1h_tokens=hour if ttl == "1h" else 0,
        cache_read_tokens=read,
        output_tokens=output,
    )
    used = Usage(counts=counts, inference_geo=geo)
    charged = charge(book, used, model=model, at=at, markup_bps=1_500)
    tokens = plan_tokens_of(used, model=model, weights=terms.weights)
    assert charged.price_nano <= worst.credit_nano
    assert charged.cost_nano <= worst.cost_nano
    assert tokens <= worst.tokens
    assert terms.overage_nano(tokens=tokens, price_nano=charged.price_nano) <= worst.overage_nano


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-4-5"]),
    st.sampled_from([None, "5m", "1h"]),
    st.sampled_from([None, "us", "global"]),
    st.integers(0, 3),
    st.integers(0, 200_000),
    st.integers(1, 5_000),
)
def test_it_is_the_worst_case_of_the_price_function(
    book, at, estimate, model, ttl, geo, searches: int, max_tokens: int, repeats: int
):
    """The compiled tariffs and `rating.worst_case` say the same to the nano."""
    if model not in book.rates or (geo == "us" and "us" not in book.rates[model].geos):
        return
    control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    tools = [{"type": "web_search_20250305", "name": "w", "max_uses": searches}] if searches else []
    body = body_of(
        "word 12 " * repeats, model=model, max_tokens=max_tokens, tools=tools, **control,
        **({"inference_geo": geo} if geo else {}),
    )  # fmt: skip
    found = bounds_of(parse_ask(orjson.dumps(body)), model=model)
    expected = dearest_case(
        book,
        CallBounds(
            input_tokens=min(found.input_tokens, book.rates_for(model).context_window_tokens),
            max_tokens=max_tokens,
            cache=found.cache,
            inference_geo=geo,
            web_search_max_uses=searches,
        ),
        models=[model],
        at=at,
    )
    worst = estimate(body).worst()
    assert (worst.cost_nano, worst.credit_nano) == (expected.nano, price_of(expected, markup_bps=1_500))


def test_every_unit_is_held(estimate, terms_with):
    terms = terms_with(
        markup_bps=0,
        terms={
            "weights": [{"model": MODEL, "hundredths": 150}],
            "overage": {"policy": "bill", "nano_per_1k_tokens": "1000"},
            "model_markups": [{"model": MODEL, "markup_bps": 2_000}],
        },
    )
    found = estimate(terms=terms)
    worst = found.worst()
    input_tokens = bounds().input_tokens
    assert worst.tokens == ceil((input_tokens + 500) * 1.5)
    assert worst.overage_nano == worst.tokens
    assert worst.requests == 1
    assert worst.credit_nano == ceil(worst.cost_nano * 1.2)
    assert worst.rate_tokens == found.likely_input_tokens


def test_an_elastic_step_holds_the_input_and_so_much_output(estimate):
    found = estimate()
    none, step, whole = found.with_output(0), found.with_output(100), found.worst()
    assert none.credit_nano < step.credit_nano < whole.credit_nano
    assert found.with_output(500) == whole
    silent = estimate(body_of(max_tokens=0))
    assert silent.max_tokens == 0
    assert silent.worst() == silent.with_output(0)


def test_a_likely_call_costs_less_than_the_worst(estimate):
    found = estimate(body_of(PROSE))
    likely, worst = found.likely(), found.worst()
    assert 0 < likely.credit_nano < worst.credit_nano
    assert likely.tokens < worst.tokens


def test_near_the_limit_the_plan_lowers_the_output(estimate, terms_with):
    terms = terms_with(terms={"near_limit": {"percent_left": 10, "max_tokens": 100}})
    lowered = estimate(terms=terms, near=True)
    assert (lowered.max_tokens, lowered.clamped_max_tokens) == (100, 100)
    assert lowered.worst() == estimate(body_of(), terms=terms).with_output(100)
    assert estimate(terms=terms).clamped_max_tokens is None
    assert estimate(body_of(max_tokens=50), terms=terms, near=True).clamped_max_tokens is None


def test_thinking_keeps_what_it_needs_near_the_limit(estimate, terms_with):
    terms = terms_with(terms={"near_limit": {"percent_left": 10, "max_tokens": 100}})
    body = body_of(max_tokens=8_000, thinking={"type": "enabled", "budget_tokens": 2_000})
    assert estimate(body, terms=terms, near=True).clamped_max_tokens == 2_001


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "document", "source": {"type": "base64", "data": "JVB"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
        {"mcp_servers": [{"type": "url", "url": "u", "name": "n"}]},
        {"container": "c"},
        {"container": {"id": "c"}},
        {"thread": {"id": "t"}},
        {"tools": [{"type": "mcp_toolset", "mcp_server_name": "n"}]},
        {"tools": [{"type": "code_execution_20250825", "name": "c"}]},
        {"novel_part": [{"deep": {"type": "document", "source": {"type": "url"}}}]},
    ],
)
def test_content_of_unknown_size_reserves_the_window(estimate, changes: dict[str, object]):
    assert bounds(**changes).has_unknown_content
    assert estimate(body_of(**changes)).with_output(0).tokens >= WINDOW


@pytest.mark.parametrize("kind", ["tool_result", "web_fetch_tool_result", "novel_result"])
def test_a_nested_unknown_document_is_found(kind: str):
    inner = [{"type": "document", "source": {"type": "url", "url": "u"}}]
    content = [{"type": "text", "text": "x"}, {"type": kind, "tool_use_id": "t", "content": inner}]
    assert bounds(messages=[{"role": "user", "content": content}]).has_unknown_content


def test_an_image_costs_no_more_than_its_largest_scale():
    data = base64.b64encode(b"\x89PNG" * 500_000).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    found = bounds(messages=[{"role": "user", "content": [image]}])
    assert 6_000 <= found.input_tokens < 8_000
    assert found.likely_input_tokens < 2_000
    assert not found.has_unknown_content


@pytest.mark.parametrize(
    ("control", "use"),
    [
        (None, CacheUse.NONE),
        ({"type": "ephemeral"}, CacheUse.FIVE_MINUTES),
        ({"type": "ephemeral", "ttl": "1h"}, CacheUse.ONE_HOUR),
        ({"type": "ephemeral", "ttl": "forever"}, CacheUse.ONE_HOUR),
    ],
)
@pytest.mark.parametrize("place", ["system", "message", "tool", "body", "tool_result"])
def test_the_dearest_cache_that_the_body_asks_for_counts(control, use, place: str):
    block = {"type": "text", "text": "x", "cache_control": control}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    places: dict[str, dict[str, object]] = {
        "system": {"system": [block]},
        "message": {"messages": [{"role": "user", "content": [{"type": "text", "text": "y"}, block]}]},
        "tool": {"tools": [{"name": "t", "input_schema": {"type": "object"}, "cache_control": control}]},
        "body": {"cache_control": control},
        "tool_result": {"messages": [{"role": "user", "content": [result]}]},
    }
    assert bounds(**places[place]).cache == use


def test_server_tools_reserve_their_uses_and_what_they_bring_in(estimate):
    found = bounds(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}])
    assert found.searches == 3
    assert found.input_tokens > 60_000
    assert bounds(tools=[{"type": "web_search_20250305", "name": "web_search"}]).searches == 10
    with pytest.raises(ModelApiError, match="positive integers"):
        bounds(tools=[{"type": "web_search_20250305", "name": "w", "max_uses": -1}])


def test_the_dearest_fallback_decides(estimate):
    cheap = estimate().worst()
    dear = estimate(body_of(fallbacks=[{"model": "claude-opus-5-5"}])).worst()
    unknown = estimate(body_of(fallbacks="auto")).worst()
    assert cheap.credit_nano < dear.credit_nano < unknown.credit_nano
    assert estimate(others=("claude-opus-5-5",)).worst().credit_nano == pytest.approx(dear.credit_nano, rel=0.02)


@pytest.mark.parametrize(
    "detour",
    [
        {"fallbacks": [{"model": "claude-opus-5-5"}]},
        {"fallbacks": ["claude-haiku-5-5", "claude-opus-5-5"]},
        {"tools": [{"type": "advisor_20260301", "model": "claude-opus-5-5"}]},
    ],
)
def test_a_model_outside_of_the_plan_is_not_reached_by_a_detour(estimate, terms_with, detour: dict[str, object]):
    with pytest.raises(ModelApiError, match="claude-opus-5-5 is not part of") as refused:
        estimate(body_of(**detour), terms=terms_with(models=[MODEL]))
    assert refused.value.status == 404
    assert estimate(body_of(**detour), terms=terms_with(models=[MODEL, "claude-opus-5-5"])).worst()
    assert estimate(terms=terms_with(models=[MODEL])).worst()


def test_an_advisor_is_reserved_at_its_own_model(estimate):
    advised = body_of(tools=[{"type": "advisor_20260301", "model": "claude-opus-5-5"}])
    assert estimate(advised).worst().credit_nano > 2 * estimate().worst().credit_nano
    with pytest.raises(ModelApiError) as refused:
        estimate(body_of(tools=[{"type": "advisor_20260301", "model": "claude-unheard-of"}]))
    assert refused.value.status == 404


def test_the_hold_covers_an_advisor_and_a_compaction(book, at, estimate):
    body = body_of(
        tools=[{"type": "advisor_20260301", "model": "claude-opus-5-5", "max_uses": 1}],
        context_management={"edits": [{"type": "compact_20260112"}]},
    )
    most = bounds_of(parse_ask(orjson.dumps(body)), model=MODEL)
    counts = TokenCounts(input_tokens=most.input_tokens, output_tokens=500)
    inner = tuple(
        Iteration(one.model, TokenCounts(input_tokens=one.input_tokens, output_tokens=one.max_tokens))
        for one in most.inner
    )
    assert [one.model for one in inner] == ["claude-opus-5-5", MODEL]
    used = charge(book, Usage(counts=counts, iterations=inner), model=MODEL, at=at, markup_bps=1_500)
    assert used.price_nano <= estimate(body).worst().credit_nano


def test_what_has_no_price_is_not_sold(estimate):
    for body, status in [
        (body_of(model="claude-unheard-of"), 404),
        (body_of(inference_geo="mars"), 400),
        (body_of(speed="warp"), 400),
    ]:
        with pytest.raises(ModelApiError) as refused:
            estimate(body)
        assert refused.value.status == status


def test_the_estimate_stops_at_the_window(estimate):
    assert estimate(body_of(system="1" * 3_000_000)).with_output(0).tokens == WINDOW


def test_a_new_price_row_is_met_at_its_time(book, terms_with, chosen):
    """A compiled tariff holds until the next row begins, not longer, and a new book at once."""
    starts_at = datetime(2027, 1, 1, tzinfo=UTC)
    prices = book.models[MODEL]
    dearer = prices.prices[0].model_copy(update={"valid_from": starts_at, "output_nano": 50_000})
    changed = prices.model_copy(update={"prices": (*prices.prices, dearer)})
    next_book = book.model_copy(update={"version": 2, "models": {**book.models, MODEL: changed}})
    surface = MessagesSurface(Estimator())
    ask = parse_ask(orjson.dumps(body_of()))

    def worst(of_book, at: datetime) -> int:
        return surface.estimate(ask, chosen(MODEL), book=of_book, terms=terms_with(), at=at).worst().credit_nano

    before = worst(next_book, starts_at - timedelta(microseconds=1))
    after = worst(next_book, starts_at)
    assert before < after
    assert worst(book, starts_at) == before
    assert worst(next_book, starts_at) == after


def test_two_accounts_with_other_terms_are_held_by_their_own(estimate, terms_with):
    cheap, dear = terms_with(markup_bps=0), terms_with(markup_bps=10_000)
    assert 2 * estimate(terms=cheap).worst().credit_nano == estimate(terms=dear).worst().credit_nano


@pytest.mark.parametrize("odd", [[], {}, [["x"]], 7, None])
def test_shapes_that_the_provider_will_refuse_do_not_break_the_estimate(odd: object):
    source = {"type": "image", "source": {"type": odd, "data": 5}}
    found = bounds(
        messages=[{"role": "user", "content": [source, {"type": odd}, odd]}, odd],
        cache_control={"ttl": odd},
        system=[odd],
        tools=[odd, {"type": odd}],
    )
    assert found.input_tokens > 0
    assert bounds(messages=odd, system=odd, tools=odd).input_tokens > 0


def test_a_compaction_is_found_at_any_depth():
    deep: object = {"type": "compact_20260112"}
    for _ in range(100):
        deep = [deep]
    assert len(bounds(context_management=deep).inner) == 1
