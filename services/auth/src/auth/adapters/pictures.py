"""Pictures that pages show."""

import segno


def qr_code(text: str) -> str:
    """An SVG element of class `qr`, as large as its frame."""
    return segno.make(text, micro=False).svg_inline(svgclass="qr", omitsize=True)
