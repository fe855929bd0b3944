"""QR codes (ISO/IEC 18004) for what an authenticator app reads: bytes, error correction L, up to version 15."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

Rows = list[list[bool]]


@dataclass(frozen=True, slots=True)
class Version:
    """How many codewords a size holds, how they are protected, and where its alignment patterns are centred."""

    number: int
    codewords: int
    check: int
    blocks: int
    centres: tuple[int, ...]

    @property
    def size(self) -> int:
        return 17 + 4 * self.number

    @property
    def holds(self) -> int:
        """Codewords of data, the mode and the count among them."""
        return self.codewords - self.check * self.blocks


VERSIONS: Final = (
    Version(1, 26, 7, 1, ()),
    Version(2, 44, 10, 1, (6, 18)),
    Version(3, 70, 15, 1, (6, 22)),
    Version(4, 100, 20, 1, (6, 26)),
    Version(5, 134, 26, 1, (6, 30)),
    Version(6, 172, 18, 2, (6, 34)),
    Version(7, 196, 20, 2, (6, 22, 38)),
    Version(8, 242, 24, 2, (6, 24, 42)),
    Version(9, 292, 30, 2, (6, 26, 46)),
    Version(10, 346, 18, 4, (6, 28, 50)),
    Version(11, 404, 20, 4, (6, 30, 54)),
    Version(12, 466, 24, 4, (6, 32, 58)),
    Version(13, 532, 26, 4, (6, 34, 62)),
    Version(14, 581, 30, 4, (6, 26, 46, 66)),
    Version(15, 655, 22, 6, (6, 26, 48, 70)),
)
_BYTES_MODE: Final = 0b0100
_LONG_COUNT_FROM: Final = 10
_PADDING: Final = (0xEC, 0x11)
_FIELD: Final = 0x11D
_LEVEL_L: Final = 0b01
# Any of the eight masks is read; trying which is the prettiest would take eight times as long.
_MASK: Final = 0b011
_FORMAT: Final = (0x537, 10, 0x5412)
_SIZE: Final = (0x1F25, 12)
_SIZE_SHOWN_FROM: Final = 7


def qr_code(text: str) -> Rows | None:
    """Which modules are dark, row by row, without the quiet margin; None for more than fits."""
    data = text.encode()
    version = next((one for one in VERSIONS if len(data) + 2 + (one.number >= _LONG_COUNT_FROM) <= one.holds), None)
    return None if version is None else _drawn(version, _codewords(version, data))


def svg_path(rows: Rows) -> str:
    """The dark modules as a path within `0 0 size size`, a bar for those that stand side by side."""
    bars = []
    for row, line in enumerate(rows):
        column = 0
        for dark, run in groupby(line):
            length = len(list(run))
            bars += [f"M{column} {row}h{length}v1h-{length}z"] if dark else []
            column += length
    return "".join(bars)


def _codewords(version: Version, data: bytes) -> bytes:
    """Data and check words, block by block interleaved."""
    long = version.number >= _LONG_COUNT_FROM
    bits = f"{_BYTES_MODE:04b}{len(data):0{16 if long else 8}b}" + "".join(f"{one:08b}" for one in data) + "0000"
    bits = bits[: 8 * version.holds].ljust(-(-len(bits) // 8) * 8, "0")[: 8 * version.holds]
    filled = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    filled += bytes(_PADDING[at % 2] for at in range(version.holds - len(filled)))
    blocks = list(_blocks(version, filled))
    checks = [_check_words(block, version.check) for block in blocks]
    return _interleaved(blocks) + _interleaved(checks)


def _blocks(version: Version, filled: bytes) -> Iterator[bytes]:
    """The last blocks are a word longer where it does not come out even."""
    short, longer = divmod(version.holds, version.blocks)
    at = 0
    for number in range(version.blocks):
        length = short + (number >= version.blocks - longer)
        yield filled[at : at + length]
        at += length


def _interleaved(blocks: Sequence[bytes]) -> bytes:
    longest = max(map(len, blocks))
    return bytes(block[at] for at in range(longest) for block in blocks if at < len(block))


def _times(one: int, other: int) -> int:
    """In the field of 256 elements that Reed-Solomon counts in."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ (_FIELD if product & 0x80 else 0)
        product ^= one if other >> bit & 1 else 0
    return product


def _check_words(block: bytes, count: int) -> bytes:
    """The remainder by the polynomial whose roots are the first powers of two."""
    divisor, root = [1] + [0] * count, 1
    for degree in range(count):
        for at in range(degree + 1, 0, -1):
            divisor[at] ^= _times(divisor[at - 1], root)
        root = _times(root, 2)
    rest = [0] * count
    for word in block:
        factor = word ^ rest[0]
        rest = [known ^ _times(part, factor) for known, part in zip([*rest[1:], 0], divisor[1:], strict=True)]
    return bytes(rest)


@dataclass
class _Drawing:
    """Modules as they are set; `taken` are those that hold no data."""

    size: int
    dark: Rows = field(init=False)
    taken: Rows = field(init=False)

    def __post_init__(self) -> None:
        self.dark = [[False] * self.size for _ in range(self.size)]
        self.taken = [[False] * self.size for _ in range(self.size)]

    def put(self, row: int, column: int, *, dark: bool) -> None:
        if 0 <= row < self.size and 0 <= column < self.size:
            self.dark[row][column], self.taken[row][column] = dark, True

    def square(self, row: int, column: int, *, reach: int, light: tuple[int, ...]) -> None:
        """Rings round a centre; those in `light` are light."""
        for down in range(-reach, reach + 1):
            for right in range(-reach, reach + 1):
                self.put(row + down, column + right, dark=max(abs(down), abs(right)) not in light)


def _drawn(version: Version, codewords: bytes) -> Rows:
    drawing = _Drawing(version.size)
    _put_patterns(drawing, version)
    _put_format(drawing)
    if version.number >= _SIZE_SHOWN_FROM:
        _put_size(drawing, version)
    bits = iter("".join(f"{word:08b}" for word in codewords))
    for row, column in _path(drawing):
        drawing.dark[row][column] = (next(bits, "0") == "1") ^ ((row + column) % 3 == 0)
    return drawing.dark


def _put_patterns(drawing: _Drawing, version: Version) -> None:
    last = drawing.size - 7
    for at in range(drawing.size):
        drawing.put(6, at, dark=at % 2 == 0)
        drawing.put(at, 6, dark=at % 2 == 0)
    for row, column in ((3, 3), (3, last + 3), (last + 3, 3)):
        drawing.square(row, column, reach=4, light=(2, 4))
    corners = {(6, 6), (6, last), (last, 6)}
    for row in version.centres:
        for column in version.centres:
            if (row, column) not in corners:
                drawing.square(row, column, reach=2, light=(1,))


def _protected(value: int, divisor: int, check_bits: int) -> int:
    """A value with its BCH check bits."""
    rest = value << check_bits
    while rest.bit_length() > check_bits:
        rest ^= divisor << (rest.bit_length() - check_bits - 1)
    return value << check_bits | rest


def _put_format(drawing: _Drawing) -> None:
    """Level and mask, twice; the least significant bit first."""
    divisor, check_bits, over = _FORMAT
    bits = _protected(_LEVEL_L << 3 | _MASK, divisor, check_bits) ^ over
    size = drawing.size
    first = [*((row, 8) for row in (0, 1, 2, 3, 4, 5, 7, 8)), *((8, column) for column in (7, 5, 4, 3, 2, 1, 0))]
    second = [*((8, size - 1 - at) for at in range(8)), *((size - 7 + at, 8) for at in range(7))]
    for at in range(15):
        for row, column in (first[at], second[at]):
            drawing.put(row, column, dark=bool(bits >> at & 1))
    drawing.put(size - 8, 8, dark=True)


def _put_size(drawing: _Drawing, version: Version) -> None:
    bits = _protected(version.number, *_SIZE)
    for at in range(18):
        short, long = drawing.size - 11 + at % 3, at // 3
        drawing.put(long, short, dark=bool(bits >> at & 1))
        drawing.put(short, long, dark=bool(bits >> at & 1))


def _path(drawing: _Drawing) -> Iterator[tuple[int, int]]:
    """Up and down in columns of two from the right, past the timing column and what is taken."""
    upwards = True
    for right in (*range(drawing.size - 1, 7, -2), 5, 3, 1):
        rows = range(drawing.size - 1, -1, -1) if upwards else range(drawing.size)
        for row in rows:
            for column in (right, right - 1):
                if not drawing.taken[row][column]:
                    yield row, column
        upwards = not upwards
