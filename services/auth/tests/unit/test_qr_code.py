"""QR codes for authenticator apps; the digests are of codes that ZXing has read."""

import hashlib
import re

import pytest

from auth.domain.qr_code import qr_code, svg_path

TEXT = "0123456789/?=&%abcdefghijklmnopqrstuvwxyz" * 20


@pytest.mark.parametrize(
    ("length", "size", "digest"),
    [
        (1, 21, "49b7de5f5284f4c3"),
        (17, 21, "1cfed7b5954d3a25"),
        (134, 41, "55452afb521641c8"),
        (154, 45, "cf2e48a5da6a77eb"),
        (230, 53, "fceddfa316c4d808"),
        (271, 57, "05b18d413a88100e"),
        (520, 77, "0f61ad8631ad4663"),
    ],
)
def test_a_code_is_what_a_reader_has_read(length, size, digest):
    """One of each kind: blocks of one length or two, counts of 8 bits or 16, with its size in it or not."""
    rows = qr_code(TEXT[:length])
    drawn = "\n".join("".join("01"[dark] for dark in row) for row in rows)

    assert [len(row) for row in rows] == [size] * size
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == digest


def test_what_does_not_fit_has_no_code():
    assert qr_code("x" * 521) is None
    assert qr_code("é" * 261) is None


def test_the_picture_shows_each_dark_module():
    rows = qr_code(TEXT[:100])
    bars = [tuple(map(int, bar)) for bar in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", svg_path(rows))]

    shown = {(row, column + at) for column, row, length in bars for at in range(length)}
    assert shown == {(row, column) for row, line in enumerate(rows) for column, dark in enumerate(line) if dark}
