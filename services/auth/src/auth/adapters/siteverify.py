"""Asking a captcha's server whether an answer is good, in the form that reCAPTCHA, hCaptcha and Turnstile share."""

import httpx2

from kit import logging
from kit.errors import UnavailableError

log = logging.get(__name__)

_TIMEOUT_S = 5.0


class SiteVerify:
    """`secret` and `response` as a form; the answer's `success` decides."""

    def __init__(self, url: str, *, secret: str, http: httpx2.AsyncClient) -> None:
        self._url = url
        self._secret = secret
        self._http = http

    async def passed(self, response: str, *, network: str) -> bool:
        """Raises `UnavailableError` when the server does not answer: without it nobody signs up."""
        form = {"secret": self._secret, "response": response, "remoteip": network}
        try:
            answer = await self._http.post(self._url, data=form, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            return answer.json().get("success") is True
        except (httpx2.HTTPError, ValueError, AttributeError) as error:
            log.warning("auth.captcha_away", reason=type(error).__name__)
            raise UnavailableError("The captcha's server does not answer; try again.", retry_after_s=5) from None
