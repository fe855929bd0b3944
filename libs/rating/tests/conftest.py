from pathlib import Path

import pytest

from rating import PriceBook, parse_book

SHIPPED = Path(__file__).parents[3] / "services/ledger/src/ledger/price_books/2026-11-21.toml"


@pytest.fixture(scope="session")
def book() -> PriceBook:
    return parse_book(SHIPPED.read_text(encoding="utf-8"), version=7)
