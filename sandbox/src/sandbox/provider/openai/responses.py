"""`POST /v1/responses`: one object, or typed events that build it up."""

import time
from collections.abc import Iterator
from typing import Any

import orjson

from sandbox.provider.blocks import Json
from sandbox.provider.events import Frame
from sandbox.provider.openai.reply import Ask, Counts, Reply, ToolCall
from sandbox.provider.openai.request import ResponsesBody, prompt_of


def ask_of(body: ResponsesBody) -> Ask:
    model = body.model.partition("@")[0]
    return Ask(
        model=model,
        prompt=prompt_of(model, body.instructions, body.input, body.tools),
        most_tokens=body.max_output_tokens,
        reasons=bool(body.reasoning and body.reasoning.get("effort") not in {None, "none"}),
        tools=body.tools or (),
        must_use_tool=isinstance(body.tool_choice, dict) or body.tool_choice == "required",
    )


def usage_of(counts: Counts) -> Json:
    return {
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": counts.written},
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.prompt + counts.output,
    }


def response(body: ResponsesBody, reply: Reply, *, call_id: str) -> Json:
    """The finished object."""
    status = "incomplete" if reply.is_cut or reply.is_filtered else "completed"
    reason = "content_filter" if reply.is_filtered else "max_output_tokens"
    return {
        **_opened(body, reply, call_id=call_id),
        "status": status,
        "completed_at": int(time.time()) if status == "completed" else None,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "output": [item for item, _ in _items(reply, call_id=call_id)],
        "usage": usage_of(reply.counts),
    }


def events(body: ResponsesBody, reply: Reply, *, call_id: str) -> Iterator[Frame]:
    """The events of a stream, numbered; the last carries the finished object with its usage."""
    number = 0

    def event(kind: str, payload: Json, *, paced: bool = False, usage: Json | None = None) -> Frame:
        nonlocal number
        data = orjson.dumps({"type": kind, "sequence_number": number, **payload})
        number += 1
        return Frame(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), paced=paced, usage=usage)

    opened = _opened(body, reply, call_id=call_id)
    yield event("response.created", {"response": opened})
    yield event("response.in_progress", {"response": opened})
    for at, (item, growing) in enumerate(_items(reply, call_id=call_id)):
        yield event("response.output_item.added", {"output_index": at, "item": {**item, **_begun(item)}})
        for kind, payload in growing:
            place = {"item_id": item["id"], "output_index": at}
            yield event(kind, {**place, **payload}, paced=kind.endswith(".delta"))
        yield event("response.output_item.done", {"output_index": at, "item": item})
    finished = response(body, reply, call_id=call_id)
    yield event(f"response.{finished['status']}", {"response": finished}, usage=finished["usage"])


_Growing = list[tuple[str, Json]]


def _opened(body: ResponsesBody, reply: Reply, *, call_id: str) -> Json:
    return {
        "id": f"resp_{call_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "model": reply.model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": body.reasoning or {"effort": None, "summary": None},
        "service_tier": "default" if body.service_tier in {None, "auto"} else body.service_tier,
        "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": body.text or {"format": {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "metadata": body.metadata or {},
    }


def _begun(item: Json) -> Json:
    """What differs while an item is still growing."""
    if item["type"] == "message":
        return {"content": [], "status": "in_progress"}
    return {"arguments": "", "status": "in_progress"} if item["type"] == "function_call" else {}


def _items(reply: Reply, *, call_id: str) -> Iterator[tuple[Json, _Growing]]:
    if reply.counts.reasoning:
        yield {"id": f"rs_{call_id}", "type": "reasoning", "summary": []}, []
    if reply.texts or reply.refusal is not None:
        part, deltas = _text_part(reply) if reply.refusal is None else _refusal_part(reply.refusal)
        item = {
            "id": f"msg_{call_id}",
            "type": "message",
            "status": "incomplete" if reply.is_cut or reply.is_filtered else "completed",
            "role": "assistant",
            "content": [part],
        }
        empty = {key: "" if key in {"text", "refusal"} else value for key, value in part.items()}
        yield (
            item,
            [
                ("response.content_part.added", {"content_index": 0, "part": empty}),
                *deltas,
                ("response.content_part.done", {"content_index": 0, "part": part}),
            ],
        )
    for at, call in enumerate(reply.calls):
        yield _call_item(call, item_id=f"fc_{call_id}{at}")


def _text_part(reply: Reply) -> tuple[Json, _Growing]:
    deltas: _Growing = [
        ("response.output_text.delta", {"content_index": 0, "delta": text, "logprobs": []}) for text in reply.texts
    ]
    deltas.append(("response.output_text.done", {"content_index": 0, "text": reply.text, "logprobs": []}))
    return {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}, deltas


def _refusal_part(refusal: str) -> tuple[Json, _Growing]:
    deltas: _Growing = [
        ("response.refusal.delta", {"content_index": 0, "delta": refusal}),
        ("response.refusal.done", {"content_index": 0, "refusal": refusal}),
    ]
    return {"type": "refusal", "refusal": refusal}, deltas


def _call_item(call: ToolCall, *, item_id: str) -> tuple[Json, _Growing]:
    arguments = orjson.dumps(call.arguments).decode()
    item: dict[str, Any] = {
        "id": item_id,
        "type": "function_call",
        "status": "completed",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": arguments,
    }
    cuts = range(0, len(arguments), 12)
    growing: _Growing = [
        ("response.function_call_arguments.delta", {"delta": arguments[begin : begin + 12]}) for begin in cuts
    ]
    growing.append(("response.function_call_arguments.done", {"name": call.name, "arguments": arguments}))
    return item, growing
