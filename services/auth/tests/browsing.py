"""A browser for tests: keeps cookies, follows no redirect by itself, sends forms as a page of ours would."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

ORIGIN = "http://127.0.0.1:8080"


@dataclass
class Browser:
    """`headers` are what every request carries."""

    http: Any
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    page: Any = None

    async def open(self, path: str, **headers: str) -> Any:
        return self._keep(await self.http.get(path, headers={**self._sent(), **headers}))

    async def send(self, path: str, *, site: str = "same-origin", **fields: str) -> Any:
        """Send a form with what the page that was opened last has hidden in it."""
        sent = {**hidden(self.page.text if self.page is not None else ""), **fields}
        headers = {**self._sent(), "sec-fetch-site": site}
        return self._keep(await self.http.post(path, data=sent, headers=headers))

    async def sign_in(self, email: str, password: str) -> Any:
        await self.open("/auth/pages/sign-in")
        return await self.send("/auth/pages/sign-in", email=email, password=password)

    def _sent(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {**self.headers, **({"cookie": cookies} if cookies else {})}

    def _keep(self, answer: Any) -> Any:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            value = value.strip('"')
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        self.page = answer
        return answer


def hidden(html: str) -> dict[str, str]:
    """The hidden fields of a page; the first of each name."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', html)
    return {name: unescape(value) for name, value in reversed(found)}
