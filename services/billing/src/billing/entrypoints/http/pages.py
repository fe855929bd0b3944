"""The pages that a buyer comes back to. They settle nothing: they ask billing, and billing asks Stripe."""

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

_INLINE: Final = {
    "script-src": re.compile(r"<script>(.*?)</script>", re.DOTALL),
    "style-src": re.compile(r"<style>(.*?)</style>", re.DOTALL),
}

router = APIRouter(prefix="/billing", tags=["pages"], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Pages:
    """The two pages with their security headers."""

    success: HTMLResponse
    cancelled: HTMLResponse


def load_pages() -> Pages:
    return Pages(success=_page("success.html"), cancelled=_page("cancelled.html"))


def _page(name: str) -> HTMLResponse:
    html = files("billing").joinpath("pages", name).read_text(encoding="utf-8")
    rules = [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    for directive, pattern in _INLINE.items():
        hashes = " ".join(_hash(text) for text in pattern.findall(html))
        rules.append(f"{directive} {hashes}" if hashes else f"{directive} 'none'")
    return HTMLResponse(html, headers={"content-security-policy": "; ".join(rules), "referrer-policy": "no-referrer"})


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@router.get("/success")
async def show_success(request: Request) -> HTMLResponse:
    pages: Pages = request.app.state.pages
    return pages.success


@router.get("/cancelled")
async def show_cancelled(request: Request) -> HTMLResponse:
    pages: Pages = request.app.state.pages
    return pages.cancelled
