"""The one pure price function and the price book's schema."""

from rating.book import PriceBook
from rating.cost import Cost, Line
from rating.errors import (
    PriceBookError,
    QuantityError,
    RatingError,
    UnpricedModelError,
    UnpricedOptionError,
)
from rating.price import Charge, charge, cost_of, price_of
from rating.rates import LineKind
from rating.rows import ModelPrices, PriceRow, Ratio, ServerToolPrices
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
    "PriceBook",
    "PriceBookError",
    "PriceRow",
    "QuantityError",
    "RatingError",
    "Ratio",
    "ServerToolPrices",
    "TokenCounts",
    "UnpricedModelError",
    "UnpricedOptionError",
    "Usage",
    "charge",
    "cost_of",
    "dearest_case",
    "parse_book",
    "price_of",
    "worst_case",
]
