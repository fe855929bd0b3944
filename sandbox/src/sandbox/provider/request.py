"""What the provider takes and what it refuses, in the provider's words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from sandbox.provider.errors import ApiError
from sandbox.provider.models import Model, model_named

VERSIONS = ("2023-06-01", "2026-10-21")
MAX_BODY_BYTES = 32 * 1024 * 1024

_BLOCKS = (
    "text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result",
    "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
    "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
    "container_upload", "compaction", "fallback", "mcp_tool_use", "mcp_tool_result", "advisor_tool_result",
    "tool_addition", "tool_removal",
)  # fmt: skip
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking", "signature"),
}


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Message(_Strict):
    role: Literal["user", "assistant", "system"]
    content: Any


class _Thinking(_Strict):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class _Tool(_Strict):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=128)] = ""
    type: str | None = None
    input_schema: dict[str, Any] | None = None


class _ToolChoice(_Strict):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class CountBody(_Strict):
    """The body of `POST /v1/messages/count_tokens`."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: list[_Message]
    system: str | list[dict[str, Any]] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    cache_control: dict[str, Any] | None = None
    context_management: dict[str, Any] | None = None
    compaction: Any = None
    mcp_servers: list[dict[str, Any]] | None = None
    output_config: dict[str, Any] | None = None
    speed: Literal["standard", "fast"] | None = None
    thread: Any = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


class MessageBody(CountBody):
    """The body of `POST /v1/messages`."""

    max_tokens: Annotated[int, Field(ge=0)]
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    stop_sequences: list[str] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    inference_geo: str | None = None
    metadata: dict[str, Any] | None = None
    container: str | dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    billing_policy: Any = None
    fallback_credit_token: Any = None
    fallbacks: Any = None


AnyBody = TypeVar("AnyBody", bound=CountBody)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What decides an answer, whether it is streamed or not."""

    seed: int
    input_tokens: int


def checked_version(headers: Mapping[str, str]) -> str:
    version = headers.get("anthropic-version")
    if version is None:
        raise ApiError(400, "anthropic-version: header is required")
    if version not in VERSIONS:
        raise ApiError(400, f'anthropic-version: "{version}" is not a valid version')
    return version


def parse_body(raw: bytes, *, shape: type[AnyBody], version: str) -> AnyBody:
    """Decode and check a body; the model may carry a sandbox suffix, which is checked apart."""
    try:
        body = shape.model_validate_json(raw)
    except ValidationError as error:
        raise ApiError(400, _first_complaint(error)) from error
    for complaint in _complaints(body, version=version):
        raise ApiError(400, complaint)
    return body


def known_model(body: CountBody) -> tuple[Model, str]:
    """The model asked for and the scenario that stands behind its `@`."""
    name, _, suffix = body.model.partition("@")
    model = model_named(name)
    if isinstance(body, MessageBody) and body.max_tokens > model.max_output_tokens:
        raise ApiError(
            400,
            f"max_tokens: {body.max_tokens} > {model.max_output_tokens}, "
            f"which is the maximum allowed number of output tokens for {model.id}",
        )
    return model, suffix


def prompt_of(body: CountBody) -> Prompt:
    tools = [tool.model_dump() for tool in body.tools or ()]
    messages = [[message.role, message.content] for message in body.messages]
    words = to_json([body.model.partition("@")[0], messages, body.system, tools])
    return Prompt(seed=crc32(words), input_tokens=max(1, len(words) // 4))


def _first_complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return f"The request body is not valid JSON: {first.get('ctx', {}).get('error', first['msg'])}"
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].replace("Input should be an object", "Input should be a valid dictionary")
    return f"{place}: {text}" if place else text


def _complaints(body: CountBody, *, version: str) -> Iterator[str]:
    if not body.messages:
        yield "messages: at least one message is required"
    for at, message in enumerate(body.messages):
        yield from _content_complaints(message, place=f"messages.{at}", version=version)
    if isinstance(body, MessageBody):
        yield from _sampling_complaints(body, version=version)
        yield from _thinking_complaints(body)
    yield from _tool_complaints(body)


def _content_complaints(message: _Message, *, place: str, version: str) -> Iterator[str]:
    if isinstance(message.content, str):
        if not message.content and message.role != "assistant":
            yield f"{place}: {message.role} messages must have non-empty content"
        return
    if not isinstance(message.content, list):
        yield f"{place}.content: Input should be a valid list"
        return
    if not message.content and message.role != "assistant":
        yield f"{place}: {message.role} messages must have non-empty content"
    for at, block in enumerate(message.content):
        yield from _block_complaints(block, place=f"{place}.content.{at}")
        if version == "2026-10-21":
            yield from _newer_complaints(block, role=message.role, place=f"{place}.content.{at}")


def _block_complaints(block: Any, *, place: str) -> Iterator[str]:
    if not isinstance(block, dict):
        yield f"{place}: Input should be a valid dictionary"
        return
    kind = block.get("type")
    if kind is None:
        yield f"{place}.type: Field required"
    elif kind not in _BLOCKS:
        tags = ", ".join(f"'{name}'" for name in _BLOCKS)
        yield f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
    else:
        yield from (f"{place}.{kind}.{name}: Field required" for name in _REQUIRED.get(kind, ()) if name not in block)
        yield from _text_complaints(block, place=place)


def _text_complaints(block: Mapping[str, Any], *, place: str) -> Iterator[str]:
    if block["type"] != "text":
        return
    if not isinstance(block["text"], str):
        yield f"{place}.text.text: Input should be a valid string"
    elif not block["text"]:
        yield "messages: text content blocks must be non-empty"


def _newer_complaints(block: Mapping[str, Any], *, role: str, place: str) -> Iterator[str]:
    if role == "assistant" and block["type"] == "document":
        yield f"{place}: document blocks are not permitted in assistant turns"
    if role == "user" and block["type"] == "text" and block.get("citations"):
        yield f"{place}.text.citations: citations are not permitted on user text blocks"


def _sampling_complaints(body: MessageBody, *, version: str) -> Iterator[str]:
    if version == "2023-06-01":
        return
    for name in ("temperature", "top_p", "top_k"):
        if name in body.model_fields_set:
            yield f"{name}: Extra inputs are not permitted"


def _thinking_complaints(body: MessageBody) -> Iterator[str]:
    if body.thinking is None or body.thinking.type != "enabled":
        return
    if body.thinking.budget_tokens is None:
        yield "thinking.enabled.budget_tokens: Field required"
    elif body.thinking.budget_tokens >= body.max_tokens:
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."


def _tool_complaints(body: CountBody) -> Iterator[str]:
    names = []
    for at, tool in enumerate(body.tools or ()):
        if tool.type in (None, "custom"):
            yield from _custom_tool_complaints(tool, place=f"tools.{at}.custom")
        names.append(tool.name)
    if len(set(filter(None, names))) != len([name for name in names if name]):
        yield "tools: Tool names must be unique."
    choice = body.tool_choice
    if choice and choice.type in ("any", "tool") and not body.tools:
        yield "tool_choice: `tool_choice` may only be specified while providing `tools`."
    if choice and choice.type == "tool" and choice.name not in names:
        yield f"tool_choice: Tool '{choice.name}' not found in provided tools"


def _custom_tool_complaints(tool: _Tool, *, place: str) -> Iterator[str]:
    if not tool.name:
        yield f"{place}.name: Field required"
    if tool.input_schema is None:
        yield f"{place}.input_schema: Field required"
    elif "type" not in tool.input_schema:
        yield f"{place}.input_schema.type: Field required"
