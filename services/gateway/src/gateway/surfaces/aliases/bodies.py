"""From what the older clients send to a Messages body."""

import base64
import binascii
from typing import Any, Final

import orjson

from gateway.errors import ModelApiError
from gateway.surfaces.anthropic.ask import parse_ask
from gateway.surfaces.parsing import parse_object, text_of
from gateway.surfaces.types import Ask, AskedExchange

DEFAULT_MODEL: Final = "fast"
"""An alias, so that the operator decides what each plan's customers get."""
DEFAULT_MAX_TOKENS: Final = 1_024
_MOST_PROMPT_CHARS: Final = 4_000_000
_IMAGES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_HEAD_CHARS: Final = 24


def body_of(exchange: AskedExchange) -> dict[str, Any]:
    return parse_object(exchange.body or b"{}")


def asked(body: dict[str, Any], *, streamed: bool) -> Ask:
    """The ask of the Messages body that was built; what older clients leave out is filled in."""
    for name, value in (("model", DEFAULT_MODEL), ("max_tokens", DEFAULT_MAX_TOKENS)):
        if body.get(name) is None:
            body[name] = value
    return parse_ask(orjson.dumps({**body, "stream": streamed}))


def prompted(body: dict[str, Any]) -> dict[str, Any]:
    """`prompt` becomes the one message; a body with `messages` is left as it is."""
    prompt = text_of(body, "prompt")
    rest = {name: value for name, value in body.items() if name != "prompt"}
    if prompt is None:
        return rest
    if "messages" in rest:
        raise ModelApiError(400, "prompt: Send either a prompt or messages")
    if not 1 <= len(prompt) <= _MOST_PROMPT_CHARS:
        raise ModelApiError(400, f"prompt: Input should have 1 to {_MOST_PROMPT_CHARS} characters")
    return {**rest, "messages": [{"role": "user", "content": prompt}]}


def required(body: dict[str, Any], name: str) -> None:
    if body.get(name) is None:
        raise ModelApiError(400, f"{name}: Field required")


def with_image(body: dict[str, Any]) -> dict[str, Any]:
    """`image` (base64, or a data URL) goes in front of the text of the last message of the user."""
    image = text_of(body, "image")
    rest = {name: value for name, value in body.items() if name != "image"}
    if image is None:
        return rest
    messages = rest.get("messages")
    if not isinstance(messages, list):
        raise ModelApiError(400, "messages: Input should be a valid list")
    place = _last_of_user(messages)
    said = messages[place].get("content")
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
    if not isinstance(blocks, list):
        raise ModelApiError(400, f"messages.{place}.content: Input should be a text or a list of blocks")
    content = [_image_block(image), *blocks]
    return {**rest, "messages": [*messages[:place], {**messages[place], "content": content}, *messages[place + 1 :]]}


def _last_of_user(messages: list[Any]) -> int:
    for place in range(len(messages) - 1, -1, -1):
        if isinstance(messages[place], dict) and messages[place].get("role") == "user":
            return place
    raise ModelApiError(400, "image: There is no message of the user to put it in")


def _image_block(image: str) -> dict[str, Any]:
    data = image
    if image.startswith("data:"):
        head, comma, data = image.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ModelApiError(400, "image: A data URL should be in base64")
    source = {"type": "base64", "media_type": _media_type(data), "data": data}
    return {"type": "image", "source": source}


def _media_type(data: str) -> str:
    """By the first bytes: that is what the provider looks at, whatever a data URL calls it."""
    try:
        head = base64.b64decode(data[:_HEAD_CHARS], validate=True)
    except (binascii.Error, ValueError):
        raise ModelApiError(400, "image: Input should be base64") from None
    for magic, media_type in _IMAGES.items():
        if head.startswith(magic):
            return media_type
    raise ModelApiError(400, "image: Input should be a PNG, JPEG, GIF or WebP image")
