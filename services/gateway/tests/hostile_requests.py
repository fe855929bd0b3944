"""Requests that two servers could read differently, or that only an attacker sends. Each must be refused.

`/PATH` stands for a path of the model API or of the ASGI app. Behind each one the test sends a well-formed request,
which a server that lost count would answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HOST: Final = b"Host: faregate.test\r\n"
REFUSED: Final = frozenset({400, 405, 413, 414, 417, 431, 501, 505})


@dataclass(frozen=True, slots=True)
class Hostile:
    name: str
    raw: bytes
    status: int | None = None

    def to(self, path: bytes) -> bytes:
        return self.raw.replace(b"/PATH", path)


def _get(rest: bytes, *, line: bytes = b"GET /PATH HTTP/1.1") -> bytes:
    return line + b"\r\n" + HOST + rest + b"\r\n"


def _post(headers: bytes, body: bytes = b"hello") -> bytes:
    return b"POST /PATH HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", body)


def corpus() -> list[Hostile]:
    found = [*_lengths(), *_codings(), *_lines(), *_names(), *_values(), *_request_lines(), *_targets(), *_hosts()]
    found += [*_chunks(), *_trailers(), *_intents(), *_sizes()]
    names = [hostile.name for hostile in found]
    assert len(names) == len(set(names)), "every hostile request has a name of its own"
    return found


def _lengths() -> Iterator[Hostile]:
    values = {
        "plus": b"+5",
        "minus": b"-5",
        "minus zero": b"-0",
        "hex": b"0x5",
        "octal": b"0o5",
        "leading zero": b"05",
        "zeros": b"000",
        "underscore": b"5_0",
        "point": b"5.0",
        "exponent": b"5e0",
        "word": b"five",
        "empty": b"",
        "two numbers": b"5 5",
        "tab between": b"5\t5",
        "list of equals": b"5, 5",
        "list of different": b"5, 6",
        "list with empty end": b"5,",
        "list with empty start": b",5",
        "semicolon": b"5;",
        "quoted": b'"5"',
        "arabic digit": b"\xd9\xa5",
        "superscript": b"\xe2\x81\xb5",
        "no-break space": b"\xa05",
        "vertical tab": b"\x0b5",
        "form feed": b"5\x0c",
        "nul": b"5\x00",
        "2 to the 63": str(1 << 63).encode(),
        "2 to the 64 and 5": str((1 << 64) + 5).encode(),
        "a thousand digits": b"9" * 1000,
    }
    for name, value in values.items():
        yield Hostile(f"length: {name}", _post(b"Content-Length: " + value + b"\r\n"))
    yield Hostile("length: doubled, equal", _post(b"Content-Length: 5\r\nContent-Length: 5\r\n"), 400)
    yield Hostile("length: doubled, different", _post(b"Content-Length: 5\r\nContent-Length: 0\r\n"), 400)
    yield Hostile("length: doubled in other case", _post(b"Content-Length: 0\r\ncontent-length: 5\r\n"), 400)
    yield Hostile("length: doubled, far apart", _post(b"Content-Length: 5\r\nX-A: b\r\nContent-Length: 6\r\n"), 400)
    yield Hostile("length: with underscore", _post(b"Content_Length: 5\r\n"), 400)
    yield Hostile("length: beyond the limit", _post(b"Content-Length: 99999999999\r\n"), 413)


def _codings() -> Iterator[Hostile]:
    whole = b"5\r\nhello\r\n0\r\n\r\n"
    values = {
        "identity": b"identity",
        "gzip": b"gzip",
        "gzip and chunked": b"gzip, chunked",
        "chunked and gzip": b"chunked, gzip",
        "chunked twice in a list": b"chunked, chunked",
        "chunked and identity": b"chunked, identity",
        "identity and chunked": b"identity, chunked",
        "empty": b"",
        "comma behind": b"chunked,",
        "comma before": b",chunked",
        "parameter": b"chunked;q=1",
        "quoted": b'"chunked"',
        "apostrophes": b"'chunked'",
        "prefix": b"xchunked",
        "suffix": b"chunkedx",
        "cut": b"chunke",
        "vertical tab before": b"\x0bchunked",
        "vertical tab behind": b"chunked\x0b",
        "nul behind": b"chunked\x00",
        "no-break space": b"\xa0chunked",
        "spaced out": b"chun ked",
        "dotless": "chunĸed".encode(),
    }
    for name, value in values.items():
        yield Hostile(f"coding: {name}", _post(b"Transfer-Encoding: " + value + b"\r\n", whole), 400)
    te, cl = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 15\r\n"
    yield Hostile("coding: with a length behind", _post(te + cl, whole), 400)
    yield Hostile("coding: with a length before", _post(cl + te, whole), 400)
    yield Hostile("coding: with a length of zero", _post(te + b"Content-Length: 0\r\n", whole), 400)
    yield Hostile("coding: identity with a length", _post(b"Transfer-Encoding: identity\r\n" + cl, whole), 400)
    yield Hostile("coding: doubled", _post(te + te, whole), 400)
    yield Hostile("coding: doubled, second identity", _post(te + b"Transfer-Encoding: identity\r\n", whole), 400)
    yield Hostile("coding: doubled, first identity", _post(b"Transfer-Encoding: identity\r\n" + te, whole), 400)
    yield Hostile("coding: with underscore", _post(b"Transfer_Encoding: chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: space before the colon", _post(b"Transfer-Encoding : chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: tab before the colon", _post(b"Transfer-Encoding\t: chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: space before the name", _post(b" Transfer-Encoding: chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: nul in the name", _post(b"Transfer\x00-Encoding: chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: behind a bare LF", _post(b"X-A: b\nTransfer-Encoding: chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: behind a bare CR", _post(b"X-A: b\rTransfer-Encoding: chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: folded", _post(b"Transfer-Encoding:\r\n chunked\r\n" + cl, whole), 400)
    yield Hostile("coding: folded word", _post(b"Transfer-Encoding: chun\r\n ked\r\n", whole), 400)
    yield Hostile("coding: in HTTP/1.0", b"POST /PATH HTTP/1.0\r\n" + HOST + te + b"\r\n" + whole, 400)


def _lines() -> Iterator[Hostile]:
    yield Hostile("lines: LF only", _get(b"X-A: b\r\n").replace(b"\r\n", b"\n"), 400)
    yield Hostile("lines: CR only", _get(b"X-A: b\r\n").replace(b"\r\n", b"\r"), 400)
    yield Hostile("lines: LF behind the request line", b"GET /PATH HTTP/1.1\n" + HOST + b"\r\n", 400)
    yield Hostile("lines: LF between headers", _get(b"X-A: b\nX-C: d\r\n"), 400)
    yield Hostile("lines: CR between headers", _get(b"X-A: b\rX-C: d\r\n"), 400)
    yield Hostile("lines: CR CR LF", _get(b"X-A: b\r\r\n"), 400)
    yield Hostile("lines: LF CR", _get(b"X-A: b\n\r"), 400)
    yield Hostile("lines: empty line of LF", b"GET /PATH HTTP/1.1\r\n" + HOST + b"\n", 400)
    yield Hostile("lines: empty line of CR", b"GET /PATH HTTP/1.1\r\n" + HOST + b"\r", 400)
    yield Hostile("lines: CRLF first", b"\r\n" + _get(b""), 400)
    yield Hostile("lines: LF first", b"\n" + _get(b""), 400)
    yield Hostile("lines: only empty ones", b"\r\n\r\n\r\n", 400)
    yield Hostile("lines: folded by a space", _get(b"X-A: b\r\n c\r\n"), 400)
    yield Hostile("lines: folded by a tab", _get(b"X-A: b\r\n\tc\r\n"), 400)
    yield Hostile("lines: first header folded", b"GET /PATH HTTP/1.1\r\n X-A: b\r\n" + HOST + b"\r\n", 400)
    yield Hostile("lines: folded to nothing", _get(b"X-A: b\r\n \r\n"), 400)
    yield Hostile("lines: next-line character", _get(b"X-A: b\x85X-C: d\n\r\n"), 400)


def _names() -> Iterator[Hostile]:
    names = {
        "empty": b"",
        "space inside": b"X A",
        "space behind": b"X-A ",
        "tab behind": b"X-A\t",
        "space before": b" X-A",
        "nul": b"X\x00A",
        "control": b"X\x01A",
        "delete": b"X\x7fA",
        "umlaut": "X-Ä".encode(),
        "latin-1": b"X-\xc4",
        "parenthesis": b"X(A",
        "bracket": b"X[A]",
        "brace": b"X{A}",
        "at": b"X@A",
        "comma": b"X,A",
        "semicolon": b"X;A",
        "equals": b"X=A",
        "slash": b"X/A",
        "backslash": b"X\\A",
        "quote": b'X"A',
        "less": b"X<A",
        "question": b"X?A",
    }
    for name, value in names.items():
        yield Hostile(f"name: {name}", _get(value + b": b\r\n"), 400)
    yield Hostile("name: without a colon", _get(b"X-A\r\n"), 400)
    yield Hostile("name: length with a space behind", _post(b"Content-Length : 5\r\n"), 400)
    yield Hostile("name: host with a space behind", b"GET /PATH HTTP/1.1\r\nHost : faregate.test\r\n\r\n", 400)


def _values() -> Iterator[Hostile]:
    for code in (0x00, 0x01, 0x08, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x1B, 0x1F, 0x7F):
        yield Hostile(f"value: byte {code:#04x}", _get(b"X-A: b" + bytes([code]) + b"c\r\n"), 400)


def _request_lines() -> Iterator[Hostile]:
    lines = {
        "lower-case version": (b"GET /PATH http/1.1", 400),
        "HTTP/0.9": (b"GET /PATH HTTP/0.9", 505),
        "HTTP/1.2": (b"GET /PATH HTTP/1.2", 505),
        "HTTP/2.0": (b"GET /PATH HTTP/2.0", 505),
        "HTTP/1": (b"GET /PATH HTTP/1", 400),
        "HTTP/1.10": (b"GET /PATH HTTP/1.10", 400),
        "HTTP/1.1.1": (b"GET /PATH HTTP/1.1.1", 400),
        "HTTP/01.1": (b"GET /PATH HTTP/01.1", 400),
        "HTTP/+1.1": (b"GET /PATH HTTP/+1.1", 400),
        "HTTP/1,1": (b"GET /PATH HTTP/1,1", 400),
        "HTTPS/1.1": (b"GET /PATH HTTPS/1.1", 400),
        "no version": (b"GET /PATH", 400),
        "space behind": (b"GET /PATH HTTP/1.1 ", 400),
        "word behind": (b"GET /PATH HTTP/1.1 x", 400),
        "two spaces": (b"GET  /PATH HTTP/1.1", 400),
        "two spaces behind": (b"GET /PATH  HTTP/1.1", 400),
        "tabs": (b"GET\t/PATH\tHTTP/1.1", 400),
        "vertical tabs": (b"GET\x0b/PATH\x0bHTTP/1.1", 400),
        "space before": (b" GET /PATH HTTP/1.1", 400),
        "method missing": (b"/PATH HTTP/1.1", 400),
        "method with parenthesis": (b"GE(T /PATH HTTP/1.1", 400),
        "method with nul": (b"GET\x00 /PATH HTTP/1.1", 400),
        "method in lower case": (b"get /PATH HTTP/1.1", 405),
        "method unknown": (b"FETCH /PATH HTTP/1.1", 405),
        "method of a kilobyte": (b"G" * 1024 + b" /PATH HTTP/1.1", 405),
        "TRACE": (b"TRACE /PATH HTTP/1.1", 405),
        "CONNECT to elsewhere": (b"CONNECT example.com:443 HTTP/1.1", 405),
        "CONNECT to a path": (b"CONNECT /PATH HTTP/1.1", 405),
    }
    for name, (line, status) in lines.items():
        yield Hostile(f"request line: {name}", _get(b"", line=line), status)
    yield Hostile("request line: HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
    yield Hostile("request line: TLS", bytes.fromhex("16030100c8010000c40303") + bytes(200), 400)


def _targets() -> Iterator[Hostile]:
    targets = {
        "elsewhere": b"http://example.com/PATH",
        "elsewhere, https": b"https://example.com/PATH",
        "elsewhere by port": b"http://faregate.test:81/PATH",
        "with a user": b"http://faregate.test@example.com/PATH",
        "with our name as user": b"http://user@faregate.test/PATH",
        "other scheme": b"ftp://faregate.test/PATH",
        "file": b"file:///PATH",
        "no host": b"http:///PATH",
        "authority": b"example.com:443",
        "our authority": b"faregate.test",
        "asterisk": b"*",
        "relative": b"messages",
        "dot": b"./PATH",
        "network path": b"//example.com/PATH",
        "nul": b"/PATH\x00",
        "nul encoded": b"/PATH%00",
        "control": b"/PATH\x01",
        "delete": b"/PATH\x7f",
        "umlaut": "/PATHä".encode(),
        "tab": b"/PATH\t",
        "fragment": b"/PATH#x",
        "backslash": b"/PATH\\x",
        "quote": b'/PATH"',
        "less": b"/PATH<x>",
        "brace": b"/PATH{x}",
        "bad escape": b"/PATH%zz",
        "cut escape": b"/PATH%4",
        "lone percent": b"/PATH%",
        "bad escape in the query": b"/PATH?a=%zz",
        "backslash in the query": b"/PATH?a=\\",
        "fragment in the query": b"/PATH?a#b",
        "nul in the query": b"/PATH?a=\x00",
        "question first": b"?a=b",
    }
    for name, target in targets.items():
        yield Hostile(f"target: {name}", _get(b"", line=b"GET " + target + b" HTTP/1.1"), 400)
    yield Hostile("target: empty", _get(b"", line=b"GET  HTTP/1.1"), 400)
    yield Hostile("target: asterisk of OPTIONS", _get(b"", line=b"OPTIONS * HTTP/1.1"), 400)
    yield Hostile("target: absolute without Host", b"GET http://faregate.test/PATH HTTP/1.0\r\n\r\n", 400)


def _hosts() -> Iterator[Hostile]:
    values = {
        "empty": b"",
        "space": b"fare gate.test",
        "two names": b"faregate.test, example.com",
        "path": b"faregate.test/x",
        "user": b"user@faregate.test",
        "scheme": b"http://faregate.test",
        "port of letters": b"faregate.test:http",
        "port missing": b"faregate.test:",
        "port too long": b"faregate.test:123456",
        "two ports": b"faregate.test:80:80",
        "bracket open": b"[::1",
        "bracket of letters": b"[xyz]",
        "umlaut": "färegate.test".encode(),
        "nul": b"faregate.test\x00.example.com",
        "question": b"faregate.test?x",
        "comma": b"faregate,test",
        "of a kilobyte": b"a" * 1024,
    }
    for name, value in values.items():
        yield Hostile(f"host: {name}", b"GET /PATH HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", 400)
    yield Hostile("host: missing", b"GET /PATH HTTP/1.1\r\nX-A: b\r\n\r\n", 400)
    yield Hostile("host: no headers at all", b"GET /PATH HTTP/1.1\r\n\r\n", 400)
    yield Hostile("host: doubled, equal", _get(HOST), 400)
    yield Hostile("host: doubled, different", _get(b"Host: example.com\r\n"), 400)
    yield Hostile("host: doubled in other case", _get(b"hOST: example.com\r\n"), 400)
    yield Hostile("host: doubled in HTTP/1.0", _get(HOST, line=b"GET /PATH HTTP/1.0"), 400)


def _chunks() -> Iterator[Hostile]:
    sizes = {
        "empty": b"",
        "minus": b"-5",
        "plus": b"+5",
        "hex prefix": b"0x5",
        "underscore": b"5_0",
        "space before": b" 5",
        "space behind": b"5 ",
        "tab before": b"\t5",
        "tab behind": b"5\t",
        "letter": b"g",
        "arabic digit": b"\xd9\xa5",
        "nul": b"5\x00",
        "nine digits": b"000000005",
        "sixteen digits": b"FFFFFFFFFFFFFFFB",
        "wraps 64 bits": b"10000000000000005",
        "larger than the limit": b"7FFFFFFF",
        "space before an extension": b"5 ;a=b",
        "empty extension": b"5;",
        "extension without a name": b"5;=b",
        "extension with a control": b"5;a=\x01",
        "extension with a nul": b"5;a=\x00",
        "extension with a quote left open": b'5;a="b',
        "extension with a line in quotes": b'5;a="\n"',
        "extension of a hundred bytes": b"5;a=" + b"b" * 100,
        "comma": b"5,5",
        "CR behind": b"5\r",
    }
    for name, size in sizes.items():
        yield Hostile(f"chunk size: {name}", _chunked(size + b"\r\nhello\r\n0\r\n\r\n"))
    yield Hostile("chunk: size ended by LF", _chunked(b"5\nhello\r\n0\r\n\r\n"), 400)
    yield Hostile("chunk: size ended by CR", _chunked(b"5\rhello\r\n0\r\n\r\n"), 400)
    yield Hostile("chunk: extension ended by LF", _chunked(b"5;a\nhello\r\n0\r\n\r\n"), 400)
    yield Hostile("chunk: without CRLF behind", _chunked(b"5\r\nhello0\r\n\r\n"), 400)
    yield Hostile("chunk: LF behind", _chunked(b"5\r\nhello\n0\r\n\r\n"), 400)
    yield Hostile("chunk: CR behind", _chunked(b"5\r\nhello\r0\r\n\r\n"), 400)
    yield Hostile("chunk: two bytes instead of CRLF", _chunked(b"5\r\nhelloXX0\r\n\r\n"), 400)
    yield Hostile("chunk: longer than its size", _chunked(b"3\r\nhello\r\n0\r\n\r\n"), 400)
    yield Hostile("chunk: shorter than its size", _chunked(b"a\r\nhello\r\n0\r\n\r\n"), 400)
    yield Hostile("chunk: last one with LF", _chunked(b"5\r\nhello\r\n0\n\n"), 400)
    yield Hostile("chunk: end with LF", _chunked(b"5\r\nhello\r\n0\r\n\n"), 400)
    yield Hostile("chunk: no end before the next request", _chunked(b"5\r\nhello\r\n"), 400)
    yield Hostile("chunk: second one malformed", _chunked(b"5\r\nhello\r\n0x0\r\n\r\n"), 400)
    yield Hostile("chunk: body is not chunked", _chunked(b"hello"), 400)


def _trailers() -> Iterator[Hostile]:
    trailers = {
        "content-length": b"Content-Length: 5",
        "transfer-encoding": b"Transfer-Encoding: chunked",
        "host": b"Host: example.com",
        "authorization": b"Authorization: Bearer x",
        "api key": b"X-Api-Key: x",
        "content-encoding": b"Content-Encoding: gzip",
        "underscore": b"Content_Length: 5",
        "no colon": b"X-A",
        "space before the colon": b"X-A : b",
        "folded": b"X-A: b\r\n c",
        "LF": b"X-A: b\nX-C: d",
        "CR": b"X-A: b\rX-C: d",
        "nul": b"X-A: \x00",
        "of five kilobytes": b"X-A: " + b"b" * 5000,
    }
    for name, trailer in trailers.items():
        yield Hostile(f"trailer: {name}", _chunked(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"), 400)


def _intents() -> Iterator[Hostile]:
    upgrade = b"Connection: Upgrade\r\nUpgrade: "
    yield Hostile("intent: websocket", _get(upgrade + b"websocket\r\nSec-WebSocket-Version: 13\r\n"), 501)
    yield Hostile("intent: h2c", _get(upgrade + b"h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"), 501)
    yield Hostile("intent: upgrade not announced", _get(b"Upgrade: h2c\r\n"), 501)
    yield Hostile("intent: upgrade not named", _get(b"Connection: upgrade\r\n"), 501)
    yield Hostile("intent: expectation unknown", _post(b"Expect: 200-ok\r\nContent-Length: 5\r\n"), 417)
    yield Hostile("intent: expectation doubled", _post(b"Expect: 100-continue\r\n" * 2 + b"Content-Length: 5\r\n"), 400)
    yield Hostile("intent: connection names the length", _post(b"Connection: content-length\r\nContent-Length: 5\r\n"))
    yield Hostile("intent: connection names the host", _get(b"Connection: close, Host\r\n"), 400)
    yield Hostile("intent: encoding doubled", _get(b"Content-Encoding: identity\r\n" * 2), 400)


def _sizes() -> Iterator[Hostile]:
    yield Hostile("size: URL", _get(b"", line=b"GET /PATH?" + b"a" * 9000 + b" HTTP/1.1"), 414)
    yield Hostile("size: request line without end", b"GET /PATH?" + b"a" * 9000, 414)
    yield Hostile("size: one header", _get(b"X-A: " + b"b" * 70_000 + b"\r\n"), 431)
    yield Hostile("size: headers in all", _get(b"".join(b"X-%d: %s\r\n" % (n, b"b" * 1000) for n in range(80))), 431)
    yield Hostile("size: number of headers", _get(b"".join(b"X-%d: b\r\n" % n for n in range(200))), 431)
    yield Hostile("size: head without end", b"GET /PATH HTTP/1.1\r\n" + b"X-A: b\r\n" * 10_000, 431)
