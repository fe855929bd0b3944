from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rating.errors import UnpricedModelError
from rating.rates import ModelRates
from rating.rows import ModelPrices, OperationPrice, Part, Ratio, ServerToolPrices, UtcDatetime

OperationName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


class PriceBook(Part):
    """One version of all prices; its JSON is the body of `ledger.price-book-published.v1`.

    Which version holds for a call is stamped at admission, so rating never compares `effective_at` with the call.
    """

    version: Annotated[int, Field(strict=True, gt=0)]
    effective_at: UtcDatetime
    currency: Literal["USD"] = "USD"
    markup_bps: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
    batch: Ratio
    server_tools: ServerToolPrices
    models: dict[str, ModelPrices]
    operations: Annotated[dict[OperationName, OperationPrice], Field(default_factory=dict)]

    @field_validator("models")
    @classmethod
    def _in_order_of_id(cls, models: dict[str, ModelPrices]) -> dict[str, ModelPrices]:
        return dict(sorted(models.items()))

    @field_validator("operations")
    @classmethod
    def _in_order_of_name(cls, operations: dict[str, OperationPrice]) -> dict[str, OperationPrice]:
        return dict(sorted(operations.items()))

    @model_validator(mode="after")
    def _each_id_means_one_thing(self) -> Self:
        ids = list(self.models)
        for prices in self.models.values():
            ids.extend(prices.also)
        repeated = sorted({model for model in ids if ids.count(model) > 1})
        if repeated:
            raise ValueError(f"more than one model goes by {', '.join(repeated)}")
        shared = sorted(self.operations.keys() & set(ids))
        if shared:
            # Charges of both stand under the name alone.
            raise ValueError(f"an operation and a model go by {', '.join(shared)}")
        return self

    @cached_property
    def rates(self) -> dict[str, ModelRates]:
        """Compiled on first use, under every id that a model goes by."""
        compiled: dict[str, ModelRates] = {}
        for model, prices in self.models.items():
            rates = ModelRates.compiled(model, prices)
            compiled.update(dict.fromkeys((model, *prices.also), rates))
        return compiled

    def rates_for(self, model: str) -> ModelRates:
        rates = self.rates.get(model)
        if rates is None:
            raise UnpricedModelError(model)
        return rates

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy that compiles its own rates: pydantic would carry the old ones over to new prices."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("rates", None)
        return copied
