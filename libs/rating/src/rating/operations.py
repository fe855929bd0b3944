"""What a customer's own operation costs: an agent run, an image, a generation; the price book names what is sold."""

from rating.book import PriceBook
from rating.cost import Cost, Line
from rating.errors import UnpricedOperationError
from rating.price import Charge, price_of
from rating.rates import LineKind
from rating.rows import OperationPrice
from rating.usage import check_quantity


def operation_charge(book: PriceBook, name: str, quantity: int, markup_bps: int) -> Charge:
    """The price (with markup, rounded up once) and the cost of so many units; a name without a price is refused."""
    check_quantity("quantity", quantity)
    terms = operation_price(book, name)
    price = Cost.of((Line(LineKind.OPERATION, name, quantity, terms.price_nano),))
    return Charge(
        price_nano=price_of(price, markup_bps=markup_bps),
        cost_nano=quantity * (terms.cost_nano or 0),
        book_version=book.version,
        markup_bps=markup_bps,
        lines=price.lines,
    )


def operation_price(book: PriceBook, name: str) -> OperationPrice:
    """The book's entry; raises `UnpricedOperationError` where there is none."""
    price = book.operations.get(name)
    if price is None:
        raise UnpricedOperationError(name)
    return price
