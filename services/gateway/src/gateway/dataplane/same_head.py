"""The head that a connection brought last, known again by its bytes."""

from typing import Final

from gateway.dataplane.framing import MOST_DIGITS, Head, is_length

_NAME: Final = b"content-length"
_FIELD: Final = b"\r\ncontent-length:"


class SameHead:
    """A head that was checked, known again by its bytes: only the body's length may differ.

    A client sends the same head with every request of a connection, so it is read once.
    """

    __slots__ = ("_before", "_behind", "head", "raw")

    def __init__(self, raw: bytes, head: Head) -> None:
        """`raw` includes the empty line; the head has a content-length."""
        digits = head.fields[_NAME]
        name_at = raw.lower().index(_FIELD) + len(_FIELD)
        begin = raw.index(digits, name_at)
        self.raw = raw
        self.head = head
        self._before = raw[:begin]
        self._behind = raw[begin + len(digits) :]

    def begins(self, data: bytes) -> bool:
        """Whether `data` begins with it; `head` and `raw` are those of `data` then."""
        if data.startswith(self.raw):
            return True
        begin = len(self._before)
        if not data.startswith(self._before):
            return False
        end = data.find(b"\r", begin, begin + MOST_DIGITS + 1)
        digits = data[begin:end]
        if end < 0 or not is_length(digits) or not data.startswith(self._behind, end):
            return False
        self.raw = data[: end + len(self._behind)]
        self.head = self._with_length(digits)
        return True

    def _with_length(self, digits: bytes) -> Head:
        old = self.head
        head = Head(old.method, old.path, old.query, old.minor)
        head.headers = [header if header[0] != _NAME else (_NAME, digits) for header in old.headers]
        head.fields = {**old.fields, _NAME: digits}
        head.length = int(digits)
        head.keep_alive = old.keep_alive
        head.facts = old.facts
        return head
