"""What an answer says it used, at its start and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.provider.blocks import Json
from sandbox.provider.request import MessageBody
from sandbox.provider.scenario import Scenario

_TOKENS_PER_SEARCH = 900


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of one answer; `wanted_tokens` is what it would have been without `max_tokens`."""

    input_tokens: int
    output_tokens: int
    thinking_tokens: int
    wanted_tokens: int


def usage_at_start(counts: Counts, *, body: MessageBody, scenario: Scenario) -> Json:
    usage = _inputs(counts.input_tokens, scenario=scenario)
    usage["cache_creation"] = _cache_creation(scenario)
    usage["output_tokens"] = min(1, counts.output_tokens)
    return {**usage, **_terms(body, scenario=scenario)}


def usage_at_end(counts: Counts, *, body: MessageBody, scenario: Scenario, model: str) -> Json:
    """The last word: what one message shows and what a stream's counts add up to."""
    searched = scenario.web_search_requests * _TOKENS_PER_SEARCH
    usage = _inputs(counts.input_tokens + searched, scenario=scenario)
    usage["cache_creation"] = _cache_creation(scenario)
    usage["output_tokens"] = counts.output_tokens
    usage |= _details(counts, scenario=scenario, model=model)
    if scenario.has("unknown"):
        usage["sandbox_unknown_tokens"] = 7
    return {**usage, **_terms(body, scenario=scenario)}


def cumulative(usage: Mapping[str, object], *, output_tokens: int) -> Json:
    """What `message_delta` repeats of the usage: neither the split of cache writes nor the terms."""
    left_out = ("cache_creation", "service_tier", "inference_geo", "speed")
    return {name: value for name, value in usage.items() if name not in left_out} | {"output_tokens": output_tokens}


def _inputs(input_tokens: int, *, scenario: Scenario) -> Json:
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": scenario.cache_5m + scenario.cache_1h,
        "cache_read_input_tokens": scenario.cache_read,
    }


def _cache_creation(scenario: Scenario) -> Json:
    return {"ephemeral_5m_input_tokens": scenario.cache_5m, "ephemeral_1h_input_tokens": scenario.cache_1h}


def _terms(body: MessageBody, *, scenario: Scenario) -> Json:
    terms: Json = {"service_tier": scenario.service_tier, "inference_geo": body.inference_geo or "global"}
    if body.speed is not None:
        terms["speed"] = body.speed
    return terms


def _details(counts: Counts, *, scenario: Scenario, model: str) -> Json:
    details: Json = {}
    if counts.thinking_tokens:
        details["output_tokens_details"] = {"thinking_tokens": counts.thinking_tokens}
    server = {
        "web_search_requests": scenario.web_search_requests,
        "web_fetch_requests": scenario.web_fetch_requests,
    }
    if scenario.code_execution_requests:
        server["code_execution_requests"] = scenario.code_execution_requests
    if any(server.values()):
        details["server_tool_use"] = server
    if iterations := _iterations(counts, scenario=scenario, model=model):
        details["iterations"] = iterations
    return details


def _iterations(counts: Counts, *, scenario: Scenario, model: str) -> list[Json]:
    """Compaction and advice stand outside the totals; a fallback's own entry is the totals."""
    found: list[Json] = []
    if scenario.has("compaction", "iterations"):
        found.append(_iteration("compaction", input_tokens=500, output_tokens=60))
    own = _iteration("message", input_tokens=counts.input_tokens, output_tokens=counts.output_tokens)
    own |= _inputs(counts.input_tokens, scenario=scenario) | {"cache_creation": _cache_creation(scenario)}
    if scenario.has("fallback", "iterations"):
        found.append(_iteration("message", input_tokens=counts.input_tokens, output_tokens=0) | {"model": model})
        own |= {"type": "fallback_message", "model": scenario.other_model}
    if scenario.has("advisor", "iterations"):
        advice = _iteration("advisor_message", input_tokens=823, output_tokens=121)
        found.append(advice | {"model": scenario.other_model})
    return [*found, own] if found else []


def _iteration(kind: str, *, input_tokens: int, output_tokens: int) -> Json:
    return {
        "type": kind,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    }
