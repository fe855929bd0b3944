"""The estimate of a call's input is never below the provider's count, and unknown content reserves the window."""

import base64
import json
from datetime import UTC, datetime

import httpx2
import pytest

from gateway.dataplane.ask import parse_ask
from gateway.dataplane.bounds import bounds_of, worst_cost
from gateway.errors import ModelApiError
from rating import CacheUse, TokenCounts, Usage, cost_of

AT = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = 1_000_000
CORPUS = {
    "a word": "Hi",
    "prose": "A tram crosses the river at noon and nobody on board checks the time. " * 200,
    "code": "for (int i = 0; i < n; ++i) { total += a[i] * b[i]; }\n" * 100,
    "digits": "3141592653589793" * 200,
    "Chinese": "東京の夜は静かで、電車がゆっくり走ります。" * 100,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🚋" * 100,
    "base64": base64.b64encode(bytes(range(256)) * 20).decode(),
    "JSON": json.dumps([{"name": f"item {n}", "price": n / 7} for n in range(200)]),
    "escapes": '"\\\n\t\u0001' * 300,
}
TOOL = {"name": "look", "description": "Looks it up. " * 40, "input_schema": {"type": "object", "properties": {}}}


def body_of(text: str, **changes: object) -> dict[str, object]:
    return {
        "model": "claude-haiku-5-5",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": text}],
        **changes,
    }


def bounds(**changes: object):
    ask = parse_ask(json.dumps(body_of("Hello", **changes)).encode())
    return bounds_of(ask, context_window_tokens=WINDOW)


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("ascii_only", [True, False])
async def test_the_estimate_is_not_below_the_providers_count(provider, name: str, ascii_only):
    body = body_of(CORPUS[name], system="Be brief.", tools=[TOOL])
    raw = json.dumps(body, ensure_ascii=ascii_only).encode()
    headers = {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01"}
    counted = {key: value for key, value in body.items() if key != "max_tokens"}
    async with httpx2.AsyncClient(base_url=provider.base_url, headers=headers) as http:
        count = (await http.post("/v1/messages/count_tokens", json=counted)).json()["input_tokens"]

    estimated = bounds_of(parse_ask(raw), context_window_tokens=WINDOW).input_tokens
    assert count <= estimated
    if name == "prose":
        # Not so high either that ordinary calls are refused for want of credit.
        assert estimated < 2.5 * count + 1_500


async def test_the_hold_covers_the_charge(book):
    ask = parse_ask(json.dumps(body_of(CORPUS["prose"], max_tokens=500)).encode())
    bound = bounds_of(ask, context_window_tokens=WINDOW)
    used = Usage(counts=TokenCounts(input_tokens=bound.input_tokens, output_tokens=500))
    assert not cost_of(book, used, model=ask.model, at=AT).exceeds(worst_cost(book, ask, at=AT))


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
        {"tools": [{"type": "mcp_toolset", "mcp_server_name": "n"}]},
    ],
)
def test_content_of_unknown_size_reserves_the_window(changes):
    assert bounds(**changes).has_unknown_content


def test_a_nested_unknown_document_is_found():
    inner = [{"type": "document", "source": {"type": "url", "url": "u"}}]
    content = [{"type": "tool_result", "tool_use_id": "t", "content": inner}]
    assert bounds(messages=[{"role": "user", "content": content}]).has_unknown_content


def test_an_image_costs_no_more_than_its_largest_scale():
    data = base64.b64encode(b"\x89PNG" * 500_000).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    found = bounds(messages=[{"role": "user", "content": [image]}])
    assert 6_000 <= found.input_tokens < 8_000
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
def test_the_dearest_cache_that_the_body_asks_for_counts(control, use):
    block = {"type": "text", "text": "x"} | ({"cache_control": control} if control else {})
    assert bounds(system=[block]).cache == use


def test_server_tools_reserve_their_uses_and_what_they_bring_in():
    found = bounds(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}])
    assert found.web_search_max_uses == 3
    assert found.input_tokens > 60_000
    assert bounds(tools=[{"type": "web_search_20250305", "name": "web_search"}]).web_search_max_uses == 10


def test_code_execution_reserves_the_window():
    assert bounds(tools=[{"type": "code_execution_20250825", "name": "c"}]).has_unknown_content


def test_the_dearest_fallback_decides(book):
    cheap = parse_ask(json.dumps(body_of("x")).encode())
    dear = parse_ask(json.dumps(body_of("x", fallbacks=[{"model": "claude-opus-5-5"}])).encode())
    unknown = parse_ask(json.dumps(body_of("x", fallbacks="auto")).encode())
    costs = [worst_cost(book, ask, at=AT) for ask in (cheap, dear, unknown)]
    assert costs[1].exceeds(costs[0])
    assert costs[2].exceeds(costs[1])


def test_an_advisor_is_reserved_at_its_own_model(book):
    plain = parse_ask(json.dumps(body_of("x")).encode())
    advised = parse_ask(
        json.dumps(body_of("x", tools=[{"type": "advisor_20260301", "model": "claude-opus-5-5"}])).encode()
    )
    assert worst_cost(book, advised, at=AT).exceeds(worst_cost(book, plain, at=AT))


def test_the_estimate_stops_at_the_window():
    assert bounds(system="1" * 3_000_000).input_tokens == WINDOW


@pytest.mark.parametrize("odd", [[], {}, [["x"]], 7, None])
def test_shapes_that_the_provider_will_refuse_do_not_break_the_estimate(odd: object):
    source = {"type": "image", "source": {"type": odd, "data": 5}}
    found = bounds(messages=[{"role": "user", "content": [source, {"type": odd}]}], cache_control={"ttl": odd})
    assert found.input_tokens > 0


def test_depth_neither_breaks_the_estimate_nor_hides_a_compaction():
    deep = b"[" * 1000 + b'{"type": "compact_20260112"}' + b"]" * 1000
    start = b'{"model": "claude-haiku-5-5", "max_tokens": 10, "context_management": '
    found = bounds_of(parse_ask(start + deep + b"}"), context_window_tokens=WINDOW)
    assert len(found.iterations) == 1
    with pytest.raises(ModelApiError, match="nested too deeply"):
        parse_ask(start + deep + b', "\\u0041": 1}')
