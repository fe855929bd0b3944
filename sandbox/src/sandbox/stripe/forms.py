"""Form bodies and query strings with Stripe's bracketed names."""

import re
from typing import TypeAlias
from urllib.parse import parse_qsl

from sandbox.stripe.errors import ParameterError

Raw: TypeAlias = "str | dict[str, Raw]"
Branch: TypeAlias = "dict[str, Raw]"

NAME = re.compile(r"[^\[\]]+(\[[^\[\]]*\])*")
MAX_DEPTH = 8


def parse(text: str) -> Branch:
    """`a[b][0][c]=1` as nested dicts of strings; lists are dicts with indices for keys."""
    tree: Branch = {}
    for name, value in _pairs(text):
        _place(tree, _segments(name), value=value, name=name)
    return tree


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=2000)
    except (UnicodeDecodeError, ValueError) as error:
        raise ParameterError("Invalid request: the parameters are not form-encoded UTF-8.") from error


def _segments(name: str) -> list[str]:
    if not NAME.fullmatch(name):
        raise ParameterError(f"Invalid request: malformed parameter name '{name}'.", param=name)
    head, *rest = name.split("[")
    segments = [head, *(part.removesuffix("]") for part in rest)]
    if len(segments) > MAX_DEPTH:
        raise ParameterError(f"Invalid request: '{name}' is nested too deeply.", param=name)
    return segments


def _place(branch: Branch, segments: list[str], *, value: str, name: str) -> None:
    for depth, segment in enumerate(segments[:-1]):
        key = segment or _open_index(branch, rest=segments[depth + 1 :])
        below = branch.setdefault(key, {})
        if isinstance(below, str):
            raise _clash(name)
        branch = below
    key = segments[-1] or str(len(branch))
    if isinstance(branch.get(key), dict):
        raise _clash(name)
    branch[key] = value


def _open_index(branch: Branch, *, rest: list[str]) -> str:
    """The element of an unindexed list (`a[][b]`) that this field belongs to: a field seen again opens the next."""
    if not branch:
        return "0"
    last = branch.get(str(len(branch) - 1), "")
    taken = isinstance(last, dict) and rest[0] in last and rest[0] != ""
    return str(len(branch)) if taken or isinstance(last, str) else str(len(branch) - 1)


def _clash(name: str) -> ParameterError:
    return ParameterError(f"Invalid request: '{name}' is given both as a value and as an object.", param=name)


def flatten(tree: Branch, prefix: str = "") -> list[tuple[str, str]]:
    """Name and value of every leaf, in a fixed order: what tells two requests apart."""
    leaves: list[tuple[str, str]] = []
    for key in sorted(tree):
        name = f"{prefix}[{key}]" if prefix else key
        value = tree[key]
        leaves += [(name, value)] if isinstance(value, str) else flatten(value, name)
    return leaves
