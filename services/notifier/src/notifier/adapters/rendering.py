"""Mails out of templates: one file for each kind and language gives the subject, the text and the HTML form."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    Template,
    TemplateError,
)

from notifier.adapters.wording import FILTERS
from notifier.domain.kinds import KINDS, Audience, title_of
from notifier.errors import PermanentError, TemplateBrokenError

LANGUAGES: Final = ("en", "de")
"""The languages that are shipped; the first is what others fall back to."""

_GAPS: Final = re.compile(r"\n{3,}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One mail's words."""

    subject: str
    text: str
    html: str
    language: str = "en"


class Renderer:
    """Renders the shipped templates, or in their place those of the operator's `folder`, which is laid out the same.

    `public_url` makes the links that are not secrets.
    """

    def __init__(self, *, public_url: str, product: str = "Faregate", folder: Path | None = None) -> None:
        shipped = PackageLoader("notifier")
        loader: BaseLoader = ChoiceLoader([FileSystemLoader(folder), shipped]) if folder else shipped
        self._folder = folder
        self._forms = {
            form: _environment(loader, is_html=form == "html", public_url=public_url, product=product)
            for form in ("txt", "html")
        }

    def render(
        self,
        kind: str,
        values: Mapping[str, Any],
        *,
        locale: str | None = None,
        link: str | None = None,
        unsubscribe_url: str | None = None,
    ) -> Rendered:
        """Raises `PermanentError` for a kind without templates, and for a template that cannot be filled."""
        if kind not in KINDS:
            raise PermanentError("there is no template for this kind")
        try:
            return self._render(kind, {**values, "link": link, "unsubscribe_url": unsubscribe_url}, _wanted(locale))
        except (TemplateError, KeyError, TypeError, ValueError) as error:
            raise PermanentError(f"the template cannot be filled: {type(error).__name__}") from None

    def subject(self, kind: str, values: Mapping[str, Any], *, locale: str | None = None) -> str:
        """One line that says what a notice says; raises as `render` does."""
        return self.render(kind, {"details": {}, **values}, locale=locale).subject

    def brief(self, kind: str, values: Mapping[str, Any], *, locale: str | None = None) -> Rendered:
        """For chats: the subject, and the text without the mail's foot."""
        mail = self.render(kind, {"details": {}, **values}, locale=locale)
        return replace(mail, text=mail.text.rpartition("\n-- \n")[0].strip())

    def check(self, samples: Mapping[str, Mapping[str, Any]]) -> None:
        """Fill every kind in every language; raises `TemplateBrokenError` naming what an operator's template broke."""
        for kind in KINDS:
            for language in self.languages():
                try:
                    self._render(kind, {**samples[kind], "unsubscribe_url": None}, (language, LANGUAGES[0]))
                except (TemplateError, KeyError, TypeError, ValueError) as error:
                    raise TemplateBrokenError(f"{language}/{kind}.j2: {type(error).__name__}: {error}") from error

    def languages(self) -> Sequence[str]:
        """The shipped ones, and those that the operator's folder adds."""
        own = sorted(path.name for path in self._folder.iterdir() if path.is_dir()) if self._folder else []
        return tuple(dict.fromkeys([*LANGUAGES, *own]))

    def _render(self, kind: str, values: Mapping[str, Any], languages: Sequence[str]) -> Rendered:
        text, language = self._template("txt", kind, languages)
        filled = self._context("txt", kind, values, language)
        subject = " ".join("".join(text.blocks["subject"](text.new_context(filled))).split())
        html, _ = self._template("html", kind, (language,))
        words = self._context("html", kind, {**values, "title": subject}, language)
        return Rendered(subject, _GAPS.sub("\n\n", text.render(filled)).strip() + "\n", html.render(words), language)

    def _template(self, form: str, kind: str, languages: Sequence[str]) -> tuple[Template, str]:
        found = self._forms[form].select_template([f"{language}/{kind}.j2" for language in languages])
        assert found.name is not None
        return found, found.name.partition("/")[0]

    def _context(self, form: str, kind: str, values: Mapping[str, Any], language: str) -> dict[str, Any]:
        environment = self._forms[form]
        parts = environment.get_template(f"parts.{form}").module
        words = environment.select_template([f"{language}/words.j2", f"{LANGUAGES[0]}/words.j2"]).module
        audience = KINDS[kind].audience
        return {
            "title": title_of(kind, language=language),
            **values,
            "form": f"base.{form}",
            "language": language,
            "words": words,
            "why": getattr(words, Audience(audience).value),
            **{name: getattr(parts, name) for name in ("p", "facts", "button", "code", "entry")},
        }


def _environment(loader: BaseLoader, *, is_html: bool, public_url: str, product: str) -> Environment:
    environment = Environment(
        loader=loader,
        autoescape=is_html,  # noqa: S701  # the text form must not be escaped; the HTML form is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals |= {"public_url": public_url, "offers_url": f"{public_url}/billing/offers", "product": product}
    return environment


def _wanted(locale: str | None) -> Sequence[str]:
    """The locale itself, its language, and what everything falls back to; what is no locale is none."""
    wanted = (locale or "").lower().replace("_", "-")
    named = [wanted, wanted.partition("-")[0]] if _LANGUAGE.fullmatch(wanted) else []
    return tuple(dict.fromkeys([*named, LANGUAGES[0]]))
