"""`POST /v1/chat/completions`: one object, or chunks as server-sent events."""

import time
from collections.abc import Iterator

import orjson

from sandbox.provider.blocks import Json
from sandbox.provider.events import Frame
from sandbox.provider.openai.reply import Ask, Counts, Reply, ToolCall
from sandbox.provider.openai.request import ChatBody, prompt_of
from sandbox.provider.scenario import Scenario

DONE = b"data: [DONE]\n\n"
_COMMENT = b": SANDBOX PROCESSING\n\n"


def ask_of(body: ChatBody) -> Ask:
    model = body.model.partition("@")[0]
    return Ask(
        model=model,
        prompt=prompt_of(model, body.messages, body.tools),
        most_tokens=body.max_completion_tokens or body.max_tokens,
        reasons=body.reasoning_effort not in {None, "none"},
        tools=body.tools or (),
        must_use_tool=isinstance(body.tool_choice, dict) or body.tool_choice == "required",
    )


def usage_of(counts: Counts, *, choices: int) -> Json:
    output = counts.output * choices
    return {
        "prompt_tokens": counts.prompt,
        "completion_tokens": output,
        "total_tokens": counts.prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": counts.cached,
            "cache_write_tokens": counts.written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning * choices,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion(body: ChatBody, reply: Reply, *, call_id: str) -> Json:
    """The answer to a call that is not streamed."""
    choices = body.n or 1
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": reply.refusal, "annotations": []}
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    return {
        **_frame_of(body, reply, call_id=call_id, kind="chat.completion"),
        "choices": [
            {"index": at, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
            for at in range(choices)
        ],
        "usage": usage_of(reply.counts, choices=choices),
    }


def chunks(body: ChatBody, reply: Reply, *, call_id: str, scenario: Scenario) -> Iterator[Frame]:
    """The same as a stream; usage comes last, and only to those who asked for it."""
    wants_usage = bool(body.stream_options and body.stream_options.include_usage)
    base = _frame_of(body, reply, call_id=call_id, kind="chat.completion.chunk")
    usage: Json = {"usage": None} if wants_usage else {}
    choices = body.n or 1
    for at in range(choices):
        for number, (delta, paced) in enumerate(_deltas(reply)):
            yield _chunk({**base, "choices": [_choice(at, delta)], **usage}, paced=paced, padding=number % 7)
            if scenario.ping_every and number % scenario.ping_every == 0:
                yield Frame(_COMMENT)
        yield _chunk({**base, "choices": [_choice(at, {}, finish_reason=_finish_reason(reply))], **usage})
    if wants_usage:
        counted = usage_of(reply.counts, choices=choices)
        yield Frame(_event({**base, "choices": [], "usage": counted}), usage=counted)
    yield Frame(DONE)


def _frame_of(body: ChatBody, reply: Reply, *, call_id: str, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{call_id}",
        "object": kind,
        "created": int(time.time()),
        "model": reply.model,
        "service_tier": "default" if body.service_tier in {None, "auto"} else body.service_tier,
        "system_fingerprint": "fp_sandbox",
    }


def _deltas(reply: Reply) -> Iterator[tuple[Json, bool]]:
    yield {"role": "assistant", "content": None if reply.calls and not reply.texts else "", "refusal": None}, False
    for text in reply.texts:
        yield {"content": text}, True
    if reply.refusal is not None:
        for word in reply.refusal.split(" "):
            yield {"refusal": f"{word} "}, True
    for at, call in enumerate(reply.calls):
        opened = {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [{"index": at, **opened}]}, False
        arguments = orjson.dumps(call.arguments).decode()
        for begin in range(0, len(arguments), 12):
            yield {"tool_calls": [{"index": at, "function": {"arguments": arguments[begin : begin + 12]}}]}, True


def _choice(at: int, delta: Json, *, finish_reason: str | None = None) -> Json:
    return {"index": at, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(reply: Reply) -> str:
    if reply.is_filtered:
        return "content_filter"
    if reply.is_cut:
        return "length"
    return "tool_calls" if reply.calls else "stop"


def _call(call: ToolCall) -> Json:
    arguments = orjson.dumps(call.arguments).decode()
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _chunk(payload: Json, *, paced: bool = False, padding: int = 0) -> Frame:
    # The provider pads its chunks, so that sizes do not give words away.
    return Frame(_event({**payload, "obfuscation": "x" * padding} if padding else payload), paced=paced)


def _event(payload: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(payload)
