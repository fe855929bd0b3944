"""The one pure price function and the price book's schema."""

from rating.book import PriceBook
from rating.cost import Cost, Line
from rating.errors import (
    PriceBookError,
    QuantityError,
    RatingError,
    UnpricedModelError,
    UnpricedOperationError,
    UnpricedOptionError,
)
from rating.operations import operation_charge, operation_price
from rating.price import Charge, charge, cost_of, price_of, total_of
from rating.rates import LineKind
from rating.rows import ModelPrices, OperationPrice, PriceRow, Ratio, ServerToolPrices
from rating.source import parse_book
from rating.usage import Iteration, TokenCounts, Usage
from rating.worst_case import CacheUse, CallBounds, IterationBounds, dearest_case, worst_case

__all__ = [
    "CacheUse",
    "CallBounds",
    "Charge",
    "Cost",
    "Iteration",
    "IterationBounds",
    "Line",
    "LineKind",
    "ModelPrices",
    "OperationPrice",
    "PriceBook",
    "PriceBookError",
    "PriceRow",
    "QuantityError",
    "RatingError",
    "Ratio",
    "ServerToolPrices",
    "TokenCounts",
    "UnpricedModelError",
    "UnpricedOperationError",
    "UnpricedOptionError",
    "Usage",
    "charge",
    "cost_of",
    "dearest_case",
    "operation_charge",
    "operation_price",
    "parse_book",
    "price_of",
    "total_of",
    "worst_case",
]
