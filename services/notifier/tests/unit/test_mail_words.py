"""The words of mails: every kind renders, amounts read well, nothing is injected."""

from email.utils import parseaddr
from pathlib import Path

import pytest

from contracts.billing import PaymentReversed
from contracts.gateway import RefusalReason
from notifier.adapters.rendering import LANGUAGES, Renderer
from notifier.adapters.wording import amount, money
from notifier.domain.kinds import KINDS
from notifier.domain.samples import SAMPLES
from notifier.errors import PermanentError, TemplateBrokenError

RENDERER = Renderer(public_url="https://faregate.example")
HOSTILE = "a <b>sonnet</b>"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_subject_a_text_and_an_html_form_in_every_language(kind: str, language: str) -> None:
    mail = RENDERER.render(
        kind,
        {**SAMPLES[kind], "model": HOSTILE, "reason": HOSTILE, "plan": HOSTILE, "topic": HOSTILE},
        locale=language,
        link="https://faregate.example/auth/verify?token=abc&x=1",
    )

    assert mail.language == language
    assert mail.subject
    assert "\n" not in mail.subject
    assert "https://faregate.example" in mail.text
    assert "</html>" in mail.html
    assert f'<html lang="{language}">' in mail.html
    assert "<b>sonnet" not in mail.html
    assert "&lt;" not in mail.text
    assert "&amp;amp;" not in mail.html
    assert "\n\n\n" not in mail.text


def test_the_two_languages_say_it_in_words_of_their_own() -> None:
    for kind in KINDS:
        english, german = (RENDERER.render(kind, SAMPLES[kind], locale=language) for language in LANGUAGES)
        assert english.subject != german.subject


@pytest.mark.parametrize(
    ("locale", "language"), [("de-AT", "de"), ("de_DE", "de"), ("fr", "en"), (None, "en"), ("../de", "en"), ("", "en")]
)
def test_a_locale_falls_back_to_its_language_and_then_to_english(locale: str | None, language: str) -> None:
    assert RENDERER.render("credit-empty", SAMPLES["credit-empty"], locale=locale).language == language


def test_figures_follow_the_language() -> None:
    german = RENDERER.render("payment-received", {**SAMPLES["payment-received"], "paid_minor": 123_456}, locale="de")

    assert "1.234,56 USD" in german.subject


def test_an_operators_folder_replaces_a_template_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    own = "{% extends form %}{% block subject %}Empty!{% endblock %}{% block content %}{{ unit }}{% endblock %}"
    (tmp_path / "en" / "credit-empty.j2").write_text(own)
    renderer = Renderer(public_url="https://faregate.example", folder=tmp_path)
    renderer.check(SAMPLES)

    assert renderer.render("credit-empty", SAMPLES["credit-empty"]).subject == "Empty!"
    assert renderer.render("credit-low-10", SAMPLES["credit-low-10"]).subject == "Less than 10 % of your credit is left"


def test_an_operators_broken_template_is_named(tmp_path: Path) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "credit-empty.j2").write_text("{% extends form %}{% block subject %}{{ no_such }}{% endblock %}")

    with pytest.raises(TemplateBrokenError, match=r"de/credit-empty\.j2: UndefinedError"):
        Renderer(public_url="https://faregate.example", folder=tmp_path).check(SAMPLES)


@pytest.mark.parametrize(
    ("level", "at", "words"),
    [
        ("percent", "40", "come down to 40 % of what was granted"),
        ("credits", "2500000000", "down to the 2.5 credits at"),
    ],
)
def test_a_level_that_the_customer_set_is_told_as_it_was_set(level: str, at: str, words: str) -> None:
    mail = RENDERER.render("credit-low", {**SAMPLES["credit-low"], "level": level, "at": at})

    assert words in mail.text


@pytest.mark.parametrize("reason", RefusalReason.__args__)
def test_every_refusal_is_told_in_words(reason: str) -> None:
    mail = RENDERER.render("calls-refused", {**SAMPLES["calls-refused"], "reason": reason})

    assert ("too little credit" in mail.text) == (reason == "credit")


@pytest.mark.parametrize("status", ["trialing", "active", "past_due", "canceled", "unpaid", "paused"])
def test_every_state_of_a_subscription_is_told_in_words(status: str) -> None:
    mail = RENDERER.render(
        "subscription-changed", {**SAMPLES["subscription-changed"], "plan": "starter", "status": status}
    )

    assert "starter" in mail.text


@pytest.mark.parametrize("reversal", PaymentReversed.model_fields["kind"].annotation.__args__)
def test_every_reversal_is_told_in_words(reversal: str) -> None:
    mail = RENDERER.render("payment-reversed", {**SAMPLES["payment-reversed"], "reversal": reversal})

    assert "5.00 USD" in mail.text
    assert mail.subject


@pytest.mark.parametrize(("language", "words"), [("en", "for what you used"), ("de", "für Ihren Verbrauch")])
def test_a_payment_for_use_that_is_past_promises_no_credit(language: str, words: str) -> None:
    values = SAMPLES["payment-received"]
    bought = RENDERER.render("payment-received", values, locale=language)
    used = RENDERER.render("payment-received", values | {"granted": 0}, locale=language)

    assert words in used.text
    assert words not in bought.text
    for word in ("Added", "Gutgeschrieben", "365"):
        assert word not in used.text
    assert "10" in used.subject


@pytest.mark.parametrize("kind", ["payment-failed", "payment-action"])
@pytest.mark.parametrize(
    ("language", "words"), [("en", "Visa ending in 0341"), ("de", "Visa mit den letzten Ziffern 0341")]
)
def test_a_payment_that_did_not_go_through_names_its_card_where_it_is_known(
    kind: str, language: str, words: str
) -> None:
    known = RENDERER.render(kind, SAMPLES[kind], locale=language)
    unknown = RENDERER.render(kind, SAMPLES[kind] | {"card_brand": None, "card_last4": None}, locale=language)

    for form in (known.text, known.html):
        assert words in form
    assert "Visa" not in unknown.text
    assert ("ending in" in unknown.text, "Ziffern" in unknown.text) == (False, False)


def test_a_kind_or_a_value_that_is_missing_is_refused_with_the_reason() -> None:
    with pytest.raises(PermanentError, match="no template"):
        RENDERER.render("base", {})
    with pytest.raises(PermanentError, match="cannot be filled: UndefinedError"):
        RENDERER.render("credit-empty", {})


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "credit", "0 credits"),
        (1, "credit", "0.000000001 credits"),
        (1_000_000_000, "credit", "1 credit"),
        (-1_500_000_000, "credit", "-1.5 credits"),
        (50_000_000_000, "credit", "50 credits"),
        (1_234_567_890_000_000_000, "credit", "1,234,567,890 credits"),
        (1_200, "token", "1,200 tokens"),
        (1, "request", "1 request"),
    ],
)
def test_amounts_are_exact_and_readable(value: int, unit: str, words: str) -> None:
    assert amount(value, unit) == words


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [(1000, "usd", "10.00 USD"), (5, "eur", "0.05 EUR"), (1000, "jpy", "1,000 JPY"), (1234, "kwd", "1.234 KWD")],
)
def test_money_has_the_digits_of_its_currency(minor: int, currency: str, words: str) -> None:
    assert money(minor, currency) == words


def test_no_template_holds_an_address() -> None:
    mail = RENDERER.render("verify-email", {"details": {}}, link=None)

    assert parseaddr(mail.text)[1].count("@") == 0
