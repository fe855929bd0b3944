"""The parts of a price book; amounts are nano-credits (1 USD = 1,000,000,000), per token or per use."""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Speed = Literal["standard", "fast"]
# A thousand dollars for a thousand tokens: beyond it a price is a slip of the pen.
NanoPerToken = Annotated[int, Field(strict=True, gt=0, le=1_000_000_000)]
NanoPerUse = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000_000)]
# Never zero: what is sold for nothing would be unlimited.
NanoPerUnit = Annotated[int, Field(strict=True, gt=0, le=1_000_000_000_000)]
TokenLimit = Annotated[int, Field(strict=True, gt=0, le=1_000_000_000)]
# One spelling per instant, so that the JSON of a book does not depend on where it was written.
UtcDatetime = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ratio(Part):
    """A price modifier, exact."""

    numerator: Annotated[int, Field(strict=True, gt=0, le=1_000_000)]
    denominator: Annotated[int, Field(strict=True, gt=0, le=1_000_000)]


class PriceRow(Part):
    """What each class of token costs from an instant on, at one speed, for prompts above a size."""

    valid_from: UtcDatetime | None = None
    speed: Speed = "standard"
    above_prompt_tokens: Annotated[int, Field(strict=True, ge=0)] = 0
    input_nano: NanoPerToken
    cache_write_5m_nano: NanoPerToken
    cache_write_1h_nano: NanoPerToken
    cache_read_nano: NanoPerToken
    output_nano: NanoPerToken

    @property
    def period(self) -> tuple[Speed, datetime | None]:
        return self.speed, self.valid_from


class ModelPrices(Part):
    """A model's prices and limits; per speed, the rows of the latest `valid_from` replace all earlier ones."""

    also: tuple[str, ...] = ()
    context_window_tokens: TokenLimit
    max_output_tokens: TokenLimit
    inference_geo: dict[str, Ratio] = {}
    prices: Annotated[tuple[PriceRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rows_are_complete(self) -> Self:
        places = Counter((row.period, row.above_prompt_tokens) for row in self.prices)
        if max(places.values()) > 1:
            raise ValueError("two price rows have the same speed, start and prompt size")
        for row in self.prices:
            if (row.period, 0) not in places:
                raise ValueError("a price row for large prompts has no row for small ones beside it")
        return self


class ServerToolPrices(Part):
    """Tools that the provider runs, per use; no price for code execution means it is not sold on its own."""

    web_search_nano: NanoPerUse
    web_fetch_nano: NanoPerUse
    code_execution_nano: NanoPerUse | None = None


class OperationPrice(Part):
    """A customer's own operation: the word for its unit, and per unit the price before markup.

    `cost_nano` is what a unit costs the operator; nothing where the customer's own servers do the work.
    """

    unit: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    price_nano: NanoPerUnit
    cost_nano: NanoPerUse | None = None
