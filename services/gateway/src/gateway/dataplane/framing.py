"""Reads a request's head from raw bytes, strictly: what two servers could read differently is refused.

The parser behind the ASGI app tolerates much; nothing reaches it that has not passed here.
"""

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from gateway.dataplane.head_facts import HeadFacts
from gateway.headers import Header

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)")
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-~]++) HTTP/([0-9])\.([0-9])")
_PATH: Final = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*+")
# Browsers leave brackets, bars, braces and carets in a query as they are.
_QUERY: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]|{}^`]|%[0-9A-Fa-f]{2})*+")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]++)(/[^#]*+|\?[^#]*+|)", re.IGNORECASE)
_ASKED: Final = re.compile(rb"[A-Z]{1,16} (/[!->@-~]*+)")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9\-._]++|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_ZERO: Final = ord("0")
MOST_DIGITS: Final = 18
# Never complete: found early, so that a client need not wait for the time-out to hear of it.
_HOPELESS: Final = re.compile(rb"[^\r]\n|\r[^\n]|\x00")
_METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
# Some servers behind read an underscore as a hyphen.
_RARE: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"content_length", b"transfer_encoding"})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_SINGLE: Final = frozenset({*_FRAMING, b"expect", b"content-encoding", b"origin"})
# Secrets are not kept in the cache of lines.
_UNCACHED: Final = frozenset({b"authorization", b"x-api-key", b"cookie", b"proxy-authorization"})
_VERSIONS: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
# A method, a version and the spaces between.
_AROUND_URL: Final = 24
_LONGEST_CACHED: Final = 160
_MOST_CACHED: Final = 4096

CHUNKED: Final = -1
# Method, path, query, minor version.
Request = tuple[str, bytes, bytes, int]


class FramingError(Exception):
    """A request that is refused before anybody sees it; the connection ends with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How much of a head is read."""

    head_bytes: int = 64 << 10
    headers: int = 128
    url_bytes: int = 8 << 10


class Head:
    """One checked request head; `length` is `CHUNKED` or the number of bytes that follow."""

    __slots__ = ("expects", "facts", "fields", "headers", "keep_alive", "length", "method", "minor", "path", "query")

    def __init__(self, method: str, path: bytes, query: bytes, minor: int) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.minor = minor
        self.headers: list[Header] = []
        self.fields: dict[bytes, bytes] = {}
        self.length = 0
        self.keep_alive = minor == 1
        self.expects = False
        self.facts = HeadFacts()


def is_length(digits: bytes) -> bool:
    # `isdigit` of bytes knows ASCII only.
    return digits.isdigit() and len(digits) <= MOST_DIGITS and (digits[0] != _ZERO or len(digits) == 1)


def bad(message: str, *, status: int = 400) -> NoReturn:
    raise FramingError(status, message)


class _Lines(dict[bytes, Header]):
    """Header lines seen before, checked and split: clients send the same dozen with every request."""

    def __missing__(self, line: bytes) -> Header:
        found = _FIELD.fullmatch(line)
        if found is None:
            _explain(line)
        name, value = found.groups()
        pair = (name.lower(), value.rstrip(b" \t"))
        if len(line) <= _LONGEST_CACHED and pair[0] not in _UNCACHED:
            if len(self) >= _MOST_CACHED:
                self.clear()
            self[line] = pair
        return pair


class _Requests(dict[bytes, Request]):
    """Request lines seen before: most clients know one or two."""

    def __missing__(self, line: bytes) -> Request:
        method, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        if version not in _VERSIONS or method not in _METHODS:
            _explain_request_line(line)
        path, _, query = target.partition(b"?")
        if path[:1] == b"/":
            _check_path(path)
            _check_query(query)
        else:
            # Which authority it names is compared with Host when that is known.
            path, query = target, b""
        request = (_METHODS[method], path, query, _VERSIONS[version])
        if len(line) <= _LONGEST_CACHED:
            if len(self) >= _MOST_CACHED:
                self.clear()
            self[line] = request
        return request


class _Hosts(dict[bytes, bytes]):
    def __missing__(self, host: bytes) -> bytes:
        found = _HOST.fullmatch(host)
        if found is None or len(host) > 255 + 6:
            bad("Host is malformed")
        if len(self) >= _MOST_CACHED:
            self.clear()
        self[host] = host
        return host


_lines: Final = _Lines()
_line_of: Final = _lines.__getitem__
_requests: Final = _Requests()
_hosts: Final = _Hosts()


def asked_path(seen: bytes) -> bytes:
    """The path that a head asks for although nothing else of it may be readable; empty when that is not to be told."""
    found = _ASKED.match(seen)
    return b"" if found is None else found[1]


def check_beginning(seen: bytes, limits: HeadLimits, *, scanned: int) -> None:
    """Refuse a head that is not complete yet and never can be."""
    if seen[0] in b"\r\n" or _HOPELESS.search(seen, max(0, scanned - 1)):
        bad("Lines must end with CRLF; other control characters are not allowed")
    if len(seen) > limits.head_bytes:
        bad(f"The request's head is larger than {limits.head_bytes} bytes", status=431)
    if len(seen) > limits.url_bytes + 64 and seen.find(b"\r\n", 0, limits.url_bytes + 64) < 0:
        bad(f"The URL is longer than {limits.url_bytes} bytes", status=414)


def parse_head(raw: bytes, limits: HeadLimits) -> Head:
    """The head in `raw`, which ends before the empty line; raises `FramingError`."""
    if len(raw) > limits.head_bytes:
        bad(f"The request's head is larger than {limits.head_bytes} bytes", status=431)
    lines = raw.split(b"\r\n")
    first = lines.pop(0)
    if len(first) > limits.url_bytes + _AROUND_URL:
        bad(f"The URL is longer than {limits.url_bytes} bytes", status=414)
    head = Head(*_requests[first])
    if len(lines) > limits.headers:
        bad(f"The request has more than {limits.headers} headers", status=431)
    headers = head.headers = list(map(_line_of, lines))
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = _first_of_each(headers)
    head.fields = fields
    _check_fields(head, fields)
    return head


def _check_path(path: bytes) -> None:
    if _PATH.fullmatch(path) is None:
        bad("The request target is malformed")
    if path.startswith(b"//") or b"%00" in path:
        bad("The request target is not a path of this server")


def _check_query(query: bytes) -> None:
    if _QUERY.fullmatch(query) is None:
        bad("The request target is malformed")


def _check_fields(head: Head, fields: dict[bytes, bytes]) -> None:
    host = fields.get(b"host")
    if host is not None:
        _hosts[host]  # looking it up checks it
    elif head.minor == 1:
        bad("Host is missing")
    if (length := fields.get(b"content-length")) is not None:
        if not is_length(length):
            bad("Content-Length must be one plain number")
        head.length = int(length)
    if (connection := fields.get(b"connection")) is not None:
        if connection == b"keep-alive":
            head.keep_alive = True
        else:
            _check_connection(head, connection)
    if not fields.keys().isdisjoint(_RARE):
        _check_rare(head, fields)
    if head.path[:1] != b"/":
        _take_absolute_target(head, host)


def _check_rare(head: Head, fields: dict[bytes, bytes]) -> None:
    if b"transfer-encoding" in fields:
        _check_coding(head, fields)
    if b"upgrade" in fields:
        bad("Upgrade is not supported", status=501)
    if b"expect" in fields:
        _check_expectation(head, fields[b"expect"])
    if b"content_length" in fields or b"transfer_encoding" in fields:
        bad("A framing header is written with an underscore")


def _check_coding(head: Head, fields: dict[bytes, bytes]) -> None:
    if b"content-length" in fields:
        bad("Content-Length and Transfer-Encoding exclude each other")
    if head.minor == 0:
        bad("HTTP/1.0 knows no Transfer-Encoding")
    if fields[b"transfer-encoding"].lower() != b"chunked":
        bad("The only Transfer-Encoding is chunked")
    head.length = CHUNKED


def _check_connection(head: Head, connection: bytes) -> None:
    words = [word.strip(b" \t").lower() for word in connection.split(b",")]
    if not _FRAMING.isdisjoint(words):
        bad("Connection must not name a header that frames the message")
    if b"upgrade" in words:
        bad("Upgrade is not supported", status=501)
    head.keep_alive = b"close" not in words and (head.minor == 1 or b"keep-alive" in words)


def _check_expectation(head: Head, expectation: bytes) -> None:
    if expectation.lower() != b"100-continue":
        bad("The only expectation is 100-continue", status=417)
    head.expects = head.minor == 1


def _first_of_each(headers: list[Header]) -> dict[bytes, bytes]:
    """Of names that come more than once the first counts; names that frame or decide come once."""
    connections: list[bytes] = []
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name == b"connection":
            connections.append(value)
        elif name in fields and name in _SINGLE:
            bad(f"{name.decode()} is doubled")
        fields.setdefault(name, value)
    if connections:
        fields[b"connection"] = b", ".join(connections)
    return fields


def _take_absolute_target(head: Head, host: bytes | None) -> None:
    """An absolute address is ours when it names the very host that the Host header names."""
    found = _ABSOLUTE.fullmatch(head.path)
    if found is None or host is None or found[1].lower() != host.lower():
        bad("The request target is not a path of this server")
    path, _, query = found[2].partition(b"?")
    _check_path(path or b"/")
    _check_query(query)
    head.path, head.query = path or b"/", query


def _explain_request_line(line: bytes) -> NoReturn:
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        bad("The request line is malformed")
    method, _, major, minor = found.groups()
    if (major, minor) not in ((b"1", b"1"), (b"1", b"0")):
        bad("Only HTTP/1.1 and HTTP/1.0 are spoken here", status=505)
    bad(f"The method {method.decode()[:32]} is not allowed on any path", status=405)


def _explain(line: bytes) -> NoReturn:
    if line[:1] in (b" ", b"\t"):
        bad("A header must not be folded over lines")
    name = line.partition(b":")[0]
    if re.fullmatch(_TOKEN, name) is None:
        bad("A header's name is malformed")
    bad("A header holds characters that are not allowed")
