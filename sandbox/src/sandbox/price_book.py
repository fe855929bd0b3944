"""The sandbox's price book: the one that Faregate ships with, and the models that only the stand-in has."""

import re
from importlib import resources
from pathlib import Path

FILE_NAME = "price-book.toml"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}\.toml")


def sandbox_book() -> str:
    """The text of the book."""
    own = resources.files("sandbox") / "price_books" / "sandbox-models.toml"
    shipped = [one for one in (resources.files("ledger") / "price_books").iterdir() if _DATED.fullmatch(one.name)]
    newest = max(shipped, key=lambda one: one.name)
    return newest.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")


def book_in(folder: Path) -> Path:
    """The book as a file of the sandbox's folder, written again when it has changed."""
    path, text = folder / FILE_NAME, sandbox_book()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        partial = path.with_suffix(".part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return path
