"""The price books that the ledger has published; a call is priced by the one in force when it arrives."""

from datetime import UTC, datetime
from typing import Final

import orjson
from pydantic import ValidationError

from contracts.ledger import PriceBookPublished
from kit import logging
from kit.errors import UnavailableError
from rating import PriceBook

log = logging.get(__name__)

_END: Final = datetime.max.replace(tzinfo=UTC)


class PriceBooks:
    """Every version, as read from the state topic."""

    def __init__(self) -> None:
        self._books: dict[int, PriceBook] = {}
        # The one that was found last, and from when to when it is the one to find.
        self._found: tuple[PriceBook, datetime, datetime] | None = None

    def on_published(self, event: PriceBookPublished) -> None:
        try:
            book = PriceBook.model_validate_json(orjson.dumps(event.book))
        except ValidationError as error:
            log.error("gateway.price_book_unreadable", version=event.version, errors=error.error_count())  # noqa: TRY400  # a trace says no more
            return
        self._books[event.version] = book
        self._found = None

    def in_force(self, at: datetime) -> PriceBook:
        """The newest version that has taken effect; raises `UnavailableError` when there is none."""
        found = self._found
        if found is not None and found[1] <= at < found[2]:
            return found[0]
        effective = [book for book in self._books.values() if book.effective_at <= at]
        if not effective:
            raise UnavailableError("No price book is in force yet; try again.", retry_after_s=2)
        newest = max(effective, key=lambda book: (book.effective_at, book.version))
        until = min((book.effective_at for book in self._books.values() if book.effective_at > at), default=_END)
        self._found = newest, newest.effective_at, until
        return newest

    def of_version(self, version: int) -> PriceBook:
        """A version that some admission was stamped with; raises `UnavailableError` while it has not arrived."""
        book = self._books.get(version)
        if book is None:
            raise UnavailableError(f"Price book {version} has not arrived yet; try again.", retry_after_s=2)
        return book

    async def ready(self) -> None:
        """Raise `RuntimeError` while there is no price book."""
        if not self._books:
            raise RuntimeError("no price book has arrived yet")
