"""The routing configuration as it is written: providers, models, aliases, routes, route sets; checked as a whole."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)

from gateway.routing.errors import Problem, RoutingConfigError, problems_of
from gateway.routing.secrets import check_reference
from gateway.routing.types import ProviderKind, Timeouts

EntryKind = Literal["provider", "model", "alias", "route", "route_set"]

_SECTIONS: Final[Mapping[EntryKind, str]] = {
    "provider": "providers",
    "model": "models",
    "alias": "aliases",
    "route": "routes",
    "route_set": "route_sets",
}


def checked_address(text: str) -> str:
    """Raises `ValueError` for what cannot be connected to; places to fill in are taken for right."""
    bare = re.sub(r"\$\{[^}]*\}", "http://placeholder", text) if text.startswith("${") else text
    try:
        parts = urlsplit(bare)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine or not text.isascii():
        raise ValueError("must be an http or https address")
    if parts.username or parts.password or parts.query or parts.fragment or re.search(r"\s", text):
        raise ValueError("must be without user, password, query and fragment")
    return text.rstrip("/")


def _not_empty(given: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not `min_length`, which complains a second time where the only item is wrong.
    if not given:
        raise ValueError("must not be empty")
    return given


Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
ModelName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$")]
Pattern: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9*?][A-Za-z0-9._:/@*?-]{0,199}$")]


def _is_written_out(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("should be a date and time, not a number")  # noqa: TRY004  # pydantic catches ValueError only
    return value


Instant: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_is_written_out)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class Spec(BaseModel):
    """An entry; whatever stands in it is kept out of error messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: StrictBool = True


class TimeoutSpec(BaseModel):
    """What differs from the next outer time-outs."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    connect_s: Seconds | None = None
    first_byte_s: Seconds | None = None
    silence_s: Seconds | None = None

    def over(self, outer: Timeouts) -> Timeouts:
        return Timeouts(
            self.connect_s or outer.connect_s,
            self.first_byte_s or outer.first_byte_s,
            self.silence_s or outer.silence_s,
        )


class CredentialSpec(BaseModel):
    """One credential of ours at a provider; a reserved one serves only route sets that name it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Name
    secret: Annotated[str, AfterValidator(check_reference)]
    reserved: StrictBool = False


class ProviderSpec(Spec):
    """Who runs models. `versioned = false`: the address stands for `/v1` itself."""

    kind: ProviderKind
    address: Annotated[str, AfterValidator(checked_address)]
    auth: Literal["x-api-key", "bearer"] | None = None
    versioned: StrictBool = True
    credentials: Annotated[tuple[CredentialSpec, ...], AfterValidator(_not_empty)]
    timeouts: TimeoutSpec = TimeoutSpec()

    @property
    def auth_style(self) -> str:
        return self.auth or ("x-api-key" if self.kind == "anthropic" else "bearer")


class ModelSpec(Spec):
    """A model by the price book's name; `failover` names other models that may answer in its place."""

    display_name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    created_at: Instant | None = None
    lifecycle: Literal["active", "deprecated", "retired"] = "active"
    owned_by: Name | None = None
    failover: tuple[ModelName, ...] = ()


class AliasSpec(Spec):
    """Another name for a model, unless the plan says otherwise."""

    model: ModelName


class RouteSpec(Spec):
    """A way to some models: lower `order` first, `weight` shares calls within one order; 0 takes only what fails over.

    `names` holds the provider's own names; `strip_prefix` takes the front off all others.
    """

    provider: Name
    models: Annotated[tuple[Pattern, ...], AfterValidator(_not_empty)]
    order: Annotated[int, Field(ge=0, le=1000)] = 1
    weight: Annotated[int, Field(ge=0, le=10_000)] = 1
    names: dict[ModelName, ModelName] = {}
    strip_prefix: str = ""
    timeouts: TimeoutSpec = TimeoutSpec()

    def serves(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    def upstream_name(self, asked: str, *, model: str) -> str:
        """The provider's name for what a client calls `asked` and the price book `model`."""
        named = self.names.get(asked) or self.names.get(model)
        return named or asked.removeprefix(self.strip_prefix)


class RouteSetSpec(Spec):
    """What a plan may name as its own: credentials as `provider/credential`, routes (none named: all), service tier."""

    credentials: tuple[Annotated[str, Field(pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+$")], ...] = ()
    routes: tuple[Name, ...] = ()
    service_tier: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None


class RoutingConfig(BaseModel):
    """All of it; `secret_references` are the patterns of references that operators may use over the API."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret_references: tuple[str, ...] = ()
    providers: dict[Name, ProviderSpec] = {}
    models: dict[ModelName, ModelSpec] = {}
    aliases: dict[ModelName, AliasSpec] = {}
    routes: dict[Name, RouteSpec] = {}
    route_sets: dict[Name, RouteSetSpec] = {}

    def section(self, kind: EntryKind) -> Mapping[str, Spec]:
        found: Mapping[str, Spec] = getattr(self, _SECTIONS[kind])
        return found


def section_of(kind: EntryKind) -> str:
    """The table of the file that holds entries of a kind."""
    return _SECTIONS[kind]


def read_toml(text: str) -> dict[str, Any]:
    """Raises `RoutingConfigError` for what is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RoutingConfigError([Problem("the file", f"is not TOML: {error}")]) from None


def parse_config(tables: Mapping[str, Any]) -> RoutingConfig:
    """The configuration that the tables describe; raises `RoutingConfigError` with every wrong place."""
    try:
        config = RoutingConfig.model_validate(tables)
    except ValidationError as error:
        found = problems_of(error.errors(include_url=False, include_input=False, include_context=False))
        raise RoutingConfigError(found) from None
    if problems := list(_problems(config)):
        raise RoutingConfigError(problems)
    return config


def _problems(config: RoutingConfig) -> Iterator[Problem]:
    yield from _credential_problems(config)
    for name, route in config.routes.items():
        if route.provider not in config.providers:
            yield Problem(f"routes.{name}.provider", "there is no such provider")
    for name, alias in config.aliases.items():
        if name in config.models:
            yield Problem(f"aliases.{name}", "a model has this name")
        yield from _target_problems(config, alias.model, place=f"aliases.{name}.model")
    for name, model in config.models.items():
        for at, other in enumerate(model.failover):
            place = f"models.{name}.failover.{at}"
            if other == name:
                yield Problem(place, "a model does not fail over to itself")
            yield from _target_problems(config, other, place=place)


def _credential_problems(config: RoutingConfig) -> Iterator[Problem]:
    known: set[str] = set()
    for name, provider in config.providers.items():
        ids = [credential.id for credential in provider.credentials]
        if len(set(ids)) < len(ids):
            yield Problem(f"providers.{name}.credentials", "two credentials have the same id")
        known.update(f"{name}/{one}" for one in ids)
    for name, route_set in config.route_sets.items():
        for at, credential in enumerate(route_set.credentials):
            if credential not in known:
                yield Problem(f"route_sets.{name}.credentials.{at}", "there is no such credential")
        for at, route in enumerate(route_set.routes):
            if route not in config.routes:
                yield Problem(f"route_sets.{name}.routes.{at}", "there is no such route")


def _target_problems(config: RoutingConfig, model: str, *, place: str) -> Iterator[Problem]:
    if model in config.aliases:
        yield Problem(place, "is an alias itself; name the model")
    elif not any(route.serves(model) for route in config.routes.values()):
        yield Problem(place, "no route serves this model")
