"""The whole answer to a call, before it takes one of the two wire formats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.provider.blocks import Json, arguments_for, opaque
from sandbox.provider.request import Prompt
from sandbox.provider.scenario import Scenario
from sandbox.provider.text import pieces, words

_DEFAULT_OUTPUT_TOKENS = 40
_MOST_DELTAS = 200
_REFUSAL = "The sandbox was asked to refuse."


@dataclass(frozen=True, slots=True)
class ToolCall:
    call_id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Counts:
    """Prompt tokens hold what was read from and written to the cache; output tokens hold the reasoning."""

    prompt: int
    cached: int
    written: int
    output: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What both ways of asking come down to."""

    model: str
    prompt: Prompt
    most_tokens: int | None
    reasons: bool
    tools: Sequence[Json]
    must_use_tool: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """`is_cut`: the limit on output ended it; `refusal` stands in the place of text."""

    model: str
    seed: int
    texts: tuple[str, ...]
    refusal: str | None
    calls: tuple[ToolCall, ...]
    counts: Counts
    is_cut: bool
    is_filtered: bool

    @property
    def text(self) -> str:
        return "".join(self.texts)


def reply_to(ask: Ask, *, scenario: Scenario) -> Reply:
    wanted = _DEFAULT_OUTPUT_TOKENS if scenario.output_tokens is None else scenario.output_tokens
    if scenario.has("refusal") and scenario.output_tokens is None:
        wanted = 4
    elif scenario.has("refusal-midstream"):
        wanted = max(1, wanted // 2)
    output = wanted if ask.most_tokens is None else min(wanted, ask.most_tokens)
    reasoning = _reasoning(ask, scenario=scenario, output=output)
    refused = scenario.has("refusal")
    return Reply(
        model=scenario.served_model or ask.model,
        seed=ask.prompt.seed,
        texts=() if refused else _texts(ask, scenario=scenario, count=output - reasoning),
        refusal=_REFUSAL if refused else None,
        calls=() if refused else tuple(_calls(ask, scenario=scenario)),
        counts=_counts(ask, scenario=scenario, output=output, reasoning=reasoning),
        is_cut=output < wanted,
        is_filtered=scenario.has("refusal-midstream"),
    )


def _reasoning(ask: Ask, *, scenario: Scenario, output: int) -> int:
    if scenario.has("refusal") or not (ask.reasons or scenario.has("thinking")):
        return 0
    share = output // 3 if scenario.thinking_tokens is None else scenario.thinking_tokens
    return min(share, output)


def _counts(ask: Ask, *, scenario: Scenario, output: int, reasoning: int) -> Counts:
    written = scenario.cache_5m + scenario.cache_1h
    fresh = ask.prompt.input_tokens if scenario.input_tokens is None else scenario.input_tokens
    return Counts(fresh + scenario.cache_read + written, scenario.cache_read, written, output, reasoning)


def _texts(ask: Ask, *, scenario: Scenario, count: int) -> tuple[str, ...]:
    tokens = words(ask.prompt.seed, count=count, unicode=scenario.has("unicode"))
    return tuple(pieces(tokens, per_piece=scenario.tokens_per_delta or 1 + len(tokens) // _MOST_DELTAS))


def _calls(ask: Ask, *, scenario: Scenario) -> list[ToolCall]:
    if not (ask.must_use_tool or scenario.has("tools")):
        return []
    name, arguments = _tool(ask.tools)
    return [
        ToolCall(
            f"call_{opaque(f'call{at}{ask.prompt.seed}', 24).replace('+', 'x').replace('/', 'y')}", name, arguments
        )
        for at in range(scenario.tool_calls)
    ]


def _tool(tools: Sequence[Json]) -> tuple[str, Json]:
    for tool in tools:
        described: Any = tool.get("function", tool)
        if tool.get("type") == "function" and isinstance(described, dict) and described.get("name"):
            return str(described["name"]), arguments_for(described.get("parameters"))
    return "get_weather", arguments_for(None)
