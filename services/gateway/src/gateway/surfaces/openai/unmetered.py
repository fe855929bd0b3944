"""What an OpenAI-compatible provider would do for a client without a count that the price book can price: refused.

Tools that the provider runs are charged apart from tokens, lists of other models would be served at another price,
background work ends after the answer, stored prompts and presets hide the request, priority costs more.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import ModelApiError

# The client runs these itself.
_CLIENT_TOOLS: Final = frozenset({"function", "custom", "local_shell", "apply_patch"})
_TIERS: Final = frozenset({"auto", "default", "flex", "standard", "on_demand"})
_CHAT: Final = frozenset({
    "audio", "compound_custom", "models", "plugins", "preset", "provider", "route", "search_settings",
    "web_search_options",
})  # fmt: skip
_RESPONSES: Final = frozenset({"background", "models", "plugins", "preset", "prompt", "provider", "route"})


def refuse_unmetered_chat(body: Mapping[str, Any]) -> None:
    """Raises `ModelApiError` naming the member of a chat completion that would be free or priced otherwise."""
    _refuse_members(body, _CHAT)
    _refuse_tools(body)
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise _not_sold("modalities", "only text is sold")


def refuse_unmetered_responses(body: Mapping[str, Any]) -> None:
    _refuse_members(body, _RESPONSES)
    _refuse_tools(body)


def _refuse_members(body: Mapping[str, Any], names: frozenset[str]) -> None:
    if not names.isdisjoint(body):
        for name in sorted(names.intersection(body)):
            if body[name]:
                raise _not_sold(name)
    if "service_tier" in body:
        tier = body["service_tier"]
        if tier is not None and (type(tier) is not str or tier not in _TIERS):
            raise _not_sold("service_tier", "only auto, default and flex are sold")


def _refuse_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        return
    if type(tools) is not list:
        raise ModelApiError(400, "tools: Input should be a valid list")
    for tool in tools:
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is not str or kind not in _CLIENT_TOOLS:
            named = kind[:60] if type(kind) is str else "without a type"
            raise _not_sold("tools", f"a tool {named!r} runs at the provider and is not metered here")


def _not_sold(name: str, reason: str = "this is not metered here") -> ModelApiError:
    return ModelApiError(400, f"{name}: not available: {reason}")
