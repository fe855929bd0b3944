"""The page of what is for sale: who gets it, and that it says what the catalogue says."""

import pytest

from billing.adapters.catalogue_file import load_catalogue
from billing.domain.catalogue import spec_digest
from billing.domain.offers import Terms
from billing.entrypoints.http.accepting import prefers_html
from billing.entrypoints.http.offers_page import offers_page
from billing.schemas.buying import Offer
from billing.settings import SHIPPED_CATALOGUE

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
EXAMPLE = SHIPPED_CATALOGUE.with_name("catalogue.example.toml")


def shown(path, **changes) -> str:
    content = load_catalogue(path)
    offers = [
        Offer.of(Terms(offer_id, 1, spec_digest(spec, content.currency), content.currency, spec))
        for offer_id, spec in content.offers().items()
    ]
    return offers_page([offer.model_copy(update=changes) for offer in offers]).body.decode()


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML;Q=0.5", True),
        ("text/html;q=0.5, application/json", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/html;q=0", False),
        ("text/html;q=nonsense", False),
        ("text/html;q=²", False),
        (",;=,;q", False),
    ],
)
def test_only_who_prefers_a_page_to_json_gets_one(accept, is_page) -> None:
    assert prefers_html(accept) is is_page


def test_each_offer_of_the_example_is_on_the_page_with_its_price_and_its_name_for_programs() -> None:
    page = shown(EXAMPLE)

    for offer_id in load_catalogue(EXAMPLE).offers():
        assert f"<code>{offer_id}</code>" in page
    for words in ("29.00 USD", "2,000,000 tokens per month", "Free", "Paid afterwards", "valid for"):
        assert words in page, words


def test_the_page_runs_nothing_and_sends_nothing() -> None:
    answer = offers_page([])

    rules = answer.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "script-src" not in rules
    assert answer.headers["vary"] == "accept"
    assert "Nothing is for sale" in answer.body.decode()


def test_what_an_operator_writes_into_the_catalogue_is_text_and_no_markup() -> None:
    page = shown(EXAMPLE, name="<script>alert(1)</script>", models=("<b>",), only_with=("<i>",))

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
    assert "<i>" not in page
