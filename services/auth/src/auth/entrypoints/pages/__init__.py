"""Pages for people: rendered here, usable without a script."""

from fastapi import APIRouter

from auth.entrypoints.outside import arriving, magic_links, passkey_pages
from auth.entrypoints.pages import consent, credentials, device, entrance, links, own

router = APIRouter(prefix="/auth/pages", include_in_schema=False)
for part in (links, entrance, consent, device, own, credentials):
    router.include_router(part.router)
for pages in (arriving.router, magic_links.pages, passkey_pages.router):
    router.include_router(pages)
