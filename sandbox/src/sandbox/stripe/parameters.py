"""What a route accepts: kinds of parameter, each of which reads its raw form or refuses it as Stripe would."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from sandbox.stripe.errors import NotDoneError, ParameterError
from sandbox.stripe.forms import Branch, Raw

MAX_INTEGER = 99_999_999_999
BOUNDS = ("gt", "gte", "lt", "lte")


class Kind(Protocol):
    """One way to read a parameter."""

    def read(self, raw: Raw, *, name: str) -> Any: ...


def _text(raw: Raw, *, name: str) -> str:
    if isinstance(raw, str):
        return raw
    raise ParameterError(f"Invalid string: '{name}' must be a string.", param=name)


def _branch(raw: Raw, *, name: str, what: str) -> Branch:
    if isinstance(raw, str):
        raise ParameterError(f"Invalid {what}", param=name)
    return raw


@dataclass(frozen=True, slots=True)
class Text:
    """A string; the empty one clears the field where that is allowed and reads as None."""

    max_length: int = 5000
    clearable: bool = False

    def read(self, raw: Raw, *, name: str) -> str | None:
        value = _text(raw, name=name)
        if value == "":
            self._check_clearable(name)
            return None
        if len(value) > self.max_length:
            message = f"Invalid string: '{name}' must be at most {self.max_length} characters"
            raise ParameterError(message, param=name)
        return value

    def _check_clearable(self, name: str) -> None:
        if not self.clearable:
            message = f"You passed an empty string for '{name}', which cannot be unset; leave it out or give a value."
            raise ParameterError(message, code="parameter_invalid_empty", param=name)


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute web address, as Checkout redirects to."""

    def read(self, raw: Raw, *, name: str) -> str:
        value = _text(raw, name=name)
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ParameterError("Not a valid URL", code="url_invalid", param=name)
        return value


@dataclass(frozen=True, slots=True)
class Email:
    """An address, checked for its form only."""

    clearable: bool = False

    def read(self, raw: Raw, *, name: str) -> str | None:
        value = Text(max_length=800, clearable=self.clearable).read(raw, name=name)
        if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
            raise ParameterError(f"Invalid email address: {value}", code="email_invalid", param=name)
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number."""

    minimum: int = 0
    maximum: int = MAX_INTEGER

    def read(self, raw: Raw, *, name: str) -> int:
        value = _text(raw, name=name)
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ParameterError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        number = int(value)
        if number < self.minimum:
            message = f"This value must be greater than or equal to {self.minimum}."
            raise ParameterError(message, code="parameter_invalid_integer", param=name)
        if number > self.maximum:
            message = f"This value must be less than or equal to {self.maximum}."
            raise ParameterError(message, code="parameter_invalid_integer", param=name)
        return number


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal of at most twelve places, kept as text so that no digit is lost."""

    def read(self, raw: Raw, *, name: str) -> str:
        value = _text(raw, name=name)
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
            raise ParameterError(f"Invalid decimal: {value}", param=name)
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    def read(self, raw: Raw, *, name: str) -> bool:
        value = _text(raw, name=name)
        if value not in {"true", "false"}:
            raise ParameterError(f"Invalid boolean: {value}", param=name)
        return value == "true"


class Choice:
    """One of the words Stripe lists; those in `not_done` exist there but not here."""

    def __init__(self, *words: str, not_done: tuple[str, ...] = ()) -> None:
        self.words = words
        self.not_done = not_done

    def read(self, raw: Raw, *, name: str) -> str:
        value = _text(raw, name=name)
        if value in self.not_done:
            raise NotDoneError(f"{name}={value}", param=name)
        if value not in self.words:
            listed = ", ".join((*self.words, *self.not_done))
            raise ParameterError(f"Invalid {name}: must be one of {listed}", param=name)
        return value


@dataclass(frozen=True, slots=True)
class Currency:
    """A three-letter code, kept in lower case."""

    def read(self, raw: Raw, *, name: str) -> str:
        value = _text(raw, name=name).lower()
        if not re.fullmatch(r"[a-z]{3}", value):
            raise ParameterError(f"Invalid currency: {value}", param=name)
        return value


@dataclass(frozen=True, slots=True)
class Metadata:
    """Up to 50 words of our own; an empty value removes its key, an empty whole removes all (reads as None)."""

    def read(self, raw: Raw, *, name: str) -> dict[str, str] | None:
        if raw == "":
            return None
        entries = _branch(raw, name=name, what="object")
        if len(entries) > 50:
            raise ParameterError(f"'{name}' may hold at most 50 keys", param=name)
        return {key: self._entry(key, value, name=f"{name}[{key}]") for key, value in entries.items()}

    def _entry(self, key: str, raw: Raw, *, name: str) -> str:
        value = _text(raw, name=name)
        if len(key) > 40:
            raise ParameterError("Metadata keys may be at most 40 characters", param=name)
        if len(value) > 500:
            raise ParameterError("Metadata values may be at most 500 characters", param=name)
        return value


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array, indexed or with empty brackets."""

    item: Kind
    max_items: int = 100

    def read(self, raw: Raw, *, name: str) -> list[Any]:
        entries = _branch(raw, name=name, what="array")
        if not all(key.isdecimal() for key in entries):
            raise ParameterError("Invalid array", param=name)
        if len(entries) > self.max_items:
            raise ParameterError(f"'{name}' may hold at most {self.max_items} items", param=name)
        ordered = sorted(entries.items(), key=lambda entry: int(entry[0]))
        return [self.item.read(value, name=f"{name}[{key}]") for key, value in ordered]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of instants (`created[gte]=…`), or one instant, as bounds."""

    def read(self, raw: Raw, *, name: str) -> dict[str, int]:
        if isinstance(raw, str):
            instant = Integer().read(raw, name=name)
            return {"gte": instant, "lte": instant}
        for bound in raw:
            if bound not in BOUNDS:
                raise _unknown(f"{name}[{bound}]")
        return {bound: Integer().read(value, name=f"{name}[{bound}]") for bound, value in raw.items()}


class Word:
    """A parameter that may be one of a few words instead; the empty one clears and reads as None."""

    def __init__(self, kind: Kind, *words: str, not_done: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.words = words
        self.not_done = not_done

    def read(self, raw: Raw, *, name: str) -> Any:
        if isinstance(raw, str) and raw in self.not_done:
            raise NotDoneError(f"{name}={raw}", param=name)
        if isinstance(raw, str) and raw in self.words:
            return raw or None
        return self.kind.read(raw, name=name)


class Only:
    """A parameter of which only some values are done; Stripe's others are answered with 501."""

    def __init__(self, kind: Kind, *values: Any) -> None:
        self.kind = kind
        self.values = values

    def read(self, raw: Raw, *, name: str) -> Any:
        value = self.kind.read(raw, name=name)
        if value not in self.values:
            raise NotDoneError(f"{name}={raw}", param=name)
        return value


@dataclass(frozen=True, slots=True)
class NotDone:
    """A parameter that Stripe has and this stand-in does not do."""

    def read(self, raw: Raw, *, name: str) -> Any:
        raise NotDoneError(f"the parameter '{name}'", param=name)


def not_done(names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), NotDone())


@dataclass(frozen=True, slots=True)
class Fields:
    """A set of named parameters: those of a route, or of an object inside one."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def read(self, raw: Raw, *, name: str = "") -> dict[str, Any]:
        branch = _branch(raw, name=name, what="object")
        values = {key: self._one(key, value, name=name) for key, value in branch.items()}
        for key in self.required:
            if key not in values:
                path = _path(name, key)
                raise ParameterError(f"Missing required param: {path}.", code="parameter_missing", param=path)
        return values

    def _one(self, key: str, raw: Raw, *, name: str) -> Any:
        kind = self.kinds.get(key)
        if kind is None:
            raise _unknown(_path(name, key))
        return kind.read(raw, name=_path(name, key))


def _path(name: str, key: str) -> str:
    return f"{name}[{key}]" if name else key


def _unknown(name: str) -> ParameterError:
    return ParameterError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


AUTOMATIC_TAX = Fields({"enabled": Flag(), **not_done("liability")}, required=("enabled",))
EXPAND: dict[str, Kind] = {"expand": ListOf(Text())}
TIMELESS_PAGE: dict[str, Kind] = {
    **EXPAND,
    "limit": Integer(minimum=1, maximum=100),
    "starting_after": Text(),
    "ending_before": Text(),
}
PAGE: dict[str, Kind] = {**TIMELESS_PAGE, "created": Span()}
