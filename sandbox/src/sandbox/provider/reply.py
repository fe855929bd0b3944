"""The whole answer to a call, from which both the stream and the single message are made."""

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.provider.blocks import (
    Block,
    Json,
    arguments_for,
    cited_text_block,
    compaction_block,
    document_citation,
    fallback_block,
    opaque,
    search_citation,
    search_result_block,
    text_block,
    thinking_block,
    tool_block,
    whole_block,
)
from sandbox.provider.request import MessageBody, Prompt
from sandbox.provider.scenario import Scenario
from sandbox.provider.text import pieces, words
from sandbox.provider.usage import Counts, usage_at_end, usage_at_start

_DEFAULT_OUTPUT_TOKENS = 40
_MOST_DELTAS = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished message; `usage` is what it costs, `usage_at_start` what a stream says before the first block."""

    message_id: str
    model: str
    blocks: Sequence[Block]
    stop_reason: str
    stop_details: Json | None
    usage_at_start: Json
    usage: Json
    novelties: Json

    def message(self, *, started: bool) -> Json:
        """The message as a stream announces it, or as a call that is not streamed receives it."""
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [] if started else [block.whole for block in self.blocks],
            "stop_reason": None if started else self.stop_reason,
            "stop_sequence": None,
            "stop_details": None if started else self.stop_details,
            "usage": self.usage_at_start if started else self.usage,
            **self.novelties,
        }


def reply_to(body: MessageBody, *, prompt: Prompt, scenario: Scenario, message_id: str) -> Reply:
    counts = _counts(body, prompt=prompt, scenario=scenario)
    model = body.model.partition("@")[0]
    return Reply(
        message_id=message_id,
        model=scenario.served_model or model,
        blocks=_Writer(body, scenario, counts, prompt.seed, model).blocks(),
        stop_reason=_stop_reason(body, scenario=scenario, counts=counts),
        stop_details=_stop_details(scenario),
        usage_at_start=usage_at_start(counts, body=body, scenario=scenario),
        usage=usage_at_end(counts, body=body, scenario=scenario, model=model),
        novelties={"sandbox_unknown": {"nested": [1, 2, 3]}} if scenario.has("unknown") else {},
    )


def _counts(body: MessageBody, *, prompt: Prompt, scenario: Scenario) -> Counts:
    wanted = _DEFAULT_OUTPUT_TOKENS if scenario.output_tokens is None else scenario.output_tokens
    if scenario.has("refusal") and scenario.output_tokens is None:
        wanted = 4
    elif scenario.has("refusal-midstream"):
        wanted = max(1, wanted // 2)
    output_tokens = min(body.max_tokens, wanted)
    thinking_tokens = 0
    if _thinks(body, scenario=scenario):
        share = output_tokens // 3 if scenario.thinking_tokens is None else scenario.thinking_tokens
        thinking_tokens = min(share, output_tokens)
    return Counts(
        input_tokens=prompt.input_tokens if scenario.input_tokens is None else scenario.input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=thinking_tokens,
        wanted_tokens=wanted,
    )


def _thinks(body: MessageBody, *, scenario: Scenario) -> bool:
    asked = body.thinking is not None and body.thinking.type in ("enabled", "adaptive")
    return (asked or scenario.has("thinking")) and not scenario.has("refusal")


def _calls_tools(body: MessageBody, *, scenario: Scenario) -> bool:
    forced = body.tool_choice is not None and body.tool_choice.type in ("any", "tool")
    return forced or scenario.has("tools")


def _stop_reason(body: MessageBody, *, scenario: Scenario, counts: Counts) -> str:
    if scenario.has("refusal", "refusal-midstream"):
        return "refusal"
    if counts.wanted_tokens > counts.output_tokens or body.max_tokens == 0:
        return "max_tokens"
    return "tool_use" if _calls_tools(body, scenario=scenario) else "end_turn"


def _stop_details(scenario: Scenario) -> Json | None:
    if not scenario.has("refusal", "refusal-midstream"):
        return None
    return {"type": "refusal", "category": scenario.category, "explanation": "The sandbox was asked to refuse."}


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the blocks of one answer in the order in which a model gives them."""

    body: MessageBody
    scenario: Scenario
    counts: Counts
    seed: int
    model: str

    def blocks(self) -> list[Block]:
        if self.scenario.has("refusal") or self.body.max_tokens == 0:
            return []
        return [*self._before_text(), *self._text(), *self._tool_calls()]

    def _before_text(self) -> list[Block]:
        found: list[Block] = []
        if self.scenario.has("compaction", "iterations"):
            found.append(compaction_block("Earlier turns: a journey was planned and a fare agreed."))
        if self.scenario.has("fallback", "iterations"):
            serving = self.scenario.other_model
            found.append(fallback_block(declined=self.model, serving=serving, category=self.scenario.category))
        if _thinks(self.body, scenario=self.scenario):
            found.append(thinking_block(self._thoughts(), seed=self.seed))
        if self.scenario.has("advisor", "iterations"):
            found += self._advice()
        for number in range(self.scenario.web_search_requests):
            found += self._search(number)
        return found

    def _thoughts(self) -> list[str]:
        if self.body.thinking is not None and self.body.thinking.display == "omitted":
            return []
        return self._pieces(words(self.seed + 1, count=self.counts.thinking_tokens))

    def _text(self) -> list[Block]:
        count = self.counts.output_tokens - self.counts.thinking_tokens
        tokens = words(self.seed, count=count, unicode=self.scenario.has("unicode"))
        if not tokens:
            return []
        texts = self._pieces(tokens)
        if self.scenario.has("citations"):
            return [cited_text_block(texts, citation=document_citation("The evening train is late."))]
        if self.scenario.web_search_requests:
            return [cited_text_block(texts, citation=search_citation("Trams run on rails."))]
        return [text_block(texts)]

    def _tool_calls(self) -> list[Block]:
        if not _calls_tools(self.body, scenario=self.scenario):
            return []
        name, arguments = self._tool()
        return [
            tool_block(kind="tool_use", block_id=self._id("toolu", f"tool{at}"), name=name, arguments=arguments)
            for at in range(self.scenario.tool_calls)
        ]

    def _tool(self) -> tuple[str, Json]:
        wanted = self.body.tool_choice.name if self.body.tool_choice else None
        for tool in self.body.tools or ():
            if tool.type in (None, "custom") and wanted in (None, tool.name):
                return tool.name, arguments_for(tool.input_schema)
        return "get_weather", arguments_for(None)

    def _advice(self) -> list[Block]:
        use_id = self._id("srvtoolu", "advisor")
        advice = {"type": "advisor_result", "text": "Take the second tram.", "stop_reason": "end_turn"}
        return [
            tool_block(kind="server_tool_use", block_id=use_id, name="advisor", arguments={}),
            whole_block({"type": "advisor_tool_result", "tool_use_id": use_id, "content": advice}),
        ]

    def _search(self, number: int) -> list[Block]:
        use_id = self._id("srvtoolu", f"search{number}")
        query = {"query": f"tram timetable {number + 1}"}
        return [
            tool_block(kind="server_tool_use", block_id=use_id, name="web_search", arguments=query),
            search_result_block(use_id=use_id, seed=self.seed + number),
        ]

    def _pieces(self, tokens: list[str]) -> list[str]:
        per_piece = self.scenario.tokens_per_delta or 1 + len(tokens) // _MOST_DELTAS
        return pieces(tokens, per_piece=per_piece)

    def _id(self, prefix: str, what: str) -> str:
        return f"{prefix}_01{opaque(f'{what}{self.seed}', 22).replace('+', 'x').replace('/', 'y')}"
