"""The operator's text of a price book: TOML, in dollars as decimal strings, turned into nano-credits exactly."""

import re
import tomllib
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rating.book import PriceBook
from rating.errors import PriceBookError
from rating.rows import ModelPrices, OperationPrice, PriceRow, Ratio, ServerToolPrices, Speed

# No sign, no exponent, no NaN: what an operator would write on paper.
DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
NANO_PER_TOKEN_AT_A_DOLLAR_PER_MILLION = 1_000
NANO_PER_USE_AT_A_DOLLAR_PER_THOUSAND = 1_000_000
NANO_PER_UNIT_AT_A_DOLLAR = 1_000_000_000
BPS_PER_PERCENT = 100


def _decimal(text: object) -> Decimal:
    if not isinstance(text, str) or not DECIMAL.fullmatch(text):
        raise ValueError('must be a decimal number in quotes, like "0.25"')
    return Decimal(text)


def _scaled(text: object, *, by: int) -> int:
    scaled = _decimal(text) * by
    if scaled != int(scaled):
        raise ValueError(f"{text} is finer than one unit of account")
    return int(scaled)


def _ratio(text: object) -> Ratio:
    numerator, denominator = Fraction(_decimal(text)).as_integer_ratio()
    return Ratio(numerator=numerator, denominator=denominator)


PerMillion = Annotated[int, BeforeValidator(lambda text: _scaled(text, by=NANO_PER_TOKEN_AT_A_DOLLAR_PER_MILLION))]
PerThousand = Annotated[int, BeforeValidator(lambda text: _scaled(text, by=NANO_PER_USE_AT_A_DOLLAR_PER_THOUSAND))]
PerUnit = Annotated[int, BeforeValidator(lambda text: _scaled(text, by=NANO_PER_UNIT_AT_A_DOLLAR))]
Percent = Annotated[int, BeforeValidator(lambda text: _scaled(text, by=BPS_PER_PERCENT))]
Multiplier = Annotated[Ratio, BeforeValidator(_ratio)]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Row(_Source):
    valid_from: Annotated[AwareDatetime | None, Field(alias="from")] = None
    speed: Speed = "standard"
    above_prompt_tokens: int = 0
    input: PerMillion
    cache_write_5m: PerMillion
    cache_write_1h: PerMillion
    cache_read: PerMillion
    output: PerMillion

    def row(self) -> PriceRow:
        return PriceRow(
            valid_from=self.valid_from,
            speed=self.speed,
            above_prompt_tokens=self.above_prompt_tokens,
            input_nano=self.input,
            cache_write_5m_nano=self.cache_write_5m,
            cache_write_1h_nano=self.cache_write_1h,
            cache_read_nano=self.cache_read,
            output_nano=self.output,
        )


class _Model(_Source):
    also: tuple[str, ...] = ()
    context_window_tokens: int
    max_output_tokens: int
    inference_geo: dict[str, Multiplier] = {}
    prices: tuple[_Row, ...]

    def prices_of_model(self) -> ModelPrices:
        return ModelPrices(
            also=self.also,
            context_window_tokens=self.context_window_tokens,
            max_output_tokens=self.max_output_tokens,
            inference_geo=self.inference_geo,
            prices=tuple(source.row() for source in self.prices),
        )


class _ServerTools(_Source):
    web_search: PerThousand
    web_fetch: PerThousand
    code_execution: PerThousand | None = None

    def prices(self) -> ServerToolPrices:
        return ServerToolPrices(
            web_search_nano=self.web_search,
            web_fetch_nano=self.web_fetch,
            code_execution_nano=self.code_execution,
        )


class _Operation(_Source):
    unit: str
    price: PerUnit
    cost: PerUnit | None = None

    def price_of_operation(self) -> OperationPrice:
        return OperationPrice(unit=self.unit, price_nano=self.price, cost_nano=self.cost)


class _Book(_Source):
    effective_at: AwareDatetime
    currency: Annotated[str, Field(pattern="^USD$")]
    markup_percent: Percent
    batch: Multiplier
    server_tools: _ServerTools
    models: dict[str, _Model]
    operations: dict[str, _Operation] = {}

    def book(self, *, version: int) -> PriceBook:
        return PriceBook(
            version=version,
            effective_at=self.effective_at,
            markup_bps=self.markup_percent,
            batch=self.batch,
            server_tools=self.server_tools.prices(),
            models={model: source.prices_of_model() for model, source in self.models.items()},
            operations={name: source.price_of_operation() for name, source in self.operations.items()},
        )


def parse_book(text: str, *, version: int) -> PriceBook:
    """The book that the text describes; refuses what it does not know and what is not exact."""
    try:
        tables: dict[str, Any] = tomllib.loads(text)
        return _Book.model_validate(tables).book(version=version)
    except tomllib.TOMLDecodeError as error:
        raise PriceBookError(f"the price book is not TOML: {error}") from error
    except ValidationError as error:
        raise PriceBookError(_reasons(error)) from error


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the book'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False)
    )
