"""Every kind of notice: what it is called, how much it matters, who may see it, and whether one may do without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

from contracts.ledger import ThresholdLevel


class Audience(StrEnum):
    """Whom a notice is for; addresses are looked up when it is sent."""

    ACCOUNT = "account"
    MESSAGE = "message"
    OPERATORS = "operators"


class Priority(IntEnum):
    """The lower number goes first. Urgent notices wait for no morning, and no limit holds them back."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


MONEY: Final = frozenset({"owner", "admin"})
BUILDERS: Final = MONEY | {"developer"}
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`optional` ones can be switched off, put into the digest, and held back over night; `roles` see the account's."""

    name: str
    title: Mapping[str, str]
    audience: Audience
    priority: Priority = Priority.NORMAL
    optional: bool = False
    roles: frozenset[str] = MONEY
    in_feed: bool = True
    may_be_left: bool = False
    """Its mails carry a link that ends them with one click."""
    links_to_payment: bool = False
    """Its mails lead to the payment's own page, where it has one."""
    stale_after_s: float | None = None
    """Older facts are not told: a notifier that begins to read a topic would tell its whole past."""


def _account(
    name: str,
    en: str,
    de: str,
    *,
    priority: Priority = Priority.NORMAL,
    optional: bool = True,
    roles: frozenset[str] = MONEY,
    stale_after_s: float | None = None,
    links_to_payment: bool = False,
) -> Kind:
    return Kind(
        name=name,
        title={"en": en, "de": de},
        audience=Audience.ACCOUNT,
        priority=priority,
        optional=optional,
        may_be_left=optional,
        roles=roles,
        stale_after_s=stale_after_s,
        links_to_payment=links_to_payment,
    )


def _message(name: str, en: str, de: str, *, in_feed: bool = False) -> Kind:
    """Sign-in and security: somebody waits for the link, or should act at once. The feed shows what has no link."""
    title = {"en": en, "de": de}
    return Kind(name=name, title=title, audience=Audience.MESSAGE, priority=Priority.URGENT, in_feed=in_feed)


def _operators(name: str, en: str, de: str, *, priority: Priority = Priority.HIGH) -> Kind:
    title = {"en": en, "de": de}
    return Kind(name=name, title=title, audience=Audience.OPERATORS, priority=priority, stale_after_s=DAY_S)


_ALL: Final = (
    _account("credit-low-25", "A quarter of your credit is left", "Ein Viertel Ihres Guthabens ist übrig"),
    _account(
        "credit-low-10",
        "A tenth of your credit is left",
        "Ein Zehntel Ihres Guthabens ist übrig",
        priority=Priority.HIGH,
    ),
    _account("credit-low", "Your credit runs low", "Ihr Guthaben wird knapp", priority=Priority.HIGH),
    _account(
        "credit-empty",
        "Your credit is used up",
        "Ihr Guthaben ist aufgebraucht",
        priority=Priority.URGENT,
        roles=BUILDERS,
    ),
    _account("forecast-run-out", "Your credit will soon run out", "Ihr Guthaben reicht nicht mehr lange"),
    _account("spend-spike", "Unusual spending", "Ungewöhnlich hohe Ausgaben", priority=Priority.HIGH),
    _account("soft-limit", "A limit of your plan is reached", "Eine Grenze Ihres Tarifs ist erreicht"),
    _account("overage-near", "Your overage ceiling is near", "Ihre Obergrenze für Mehrverbrauch ist nah"),
    _account(
        "overage-reached",
        "Your overage ceiling is reached",
        "Ihre Obergrenze für Mehrverbrauch ist erreicht",
        priority=Priority.URGENT,
    ),
    _account(
        "calls-refused",
        "Calls are being refused",
        "Aufrufe werden abgelehnt",
        priority=Priority.URGENT,
        roles=BUILDERS,
    ),
    _account("payment-received", "Payment received", "Zahlung eingegangen"),
    _account(
        "payment-failed",
        "A payment failed",
        "Eine Zahlung ist fehlgeschlagen",
        priority=Priority.HIGH,
        optional=False,
        links_to_payment=True,
    ),
    _account(
        "payment-action",
        "A payment needs your confirmation",
        "Eine Zahlung braucht Ihre Bestätigung",
        priority=Priority.URGENT,
        optional=False,
        links_to_payment=True,
    ),
    _account("payment-reversed", "A payment was reversed", "Eine Zahlung wurde rückgängig gemacht", optional=False),
    _account("subscription-changed", "Your subscription changed", "Ihr Abonnement hat sich geändert", optional=False),
    _account(
        "trial-ending",
        "Your trial ends soon",
        "Ihre Probezeit endet bald",
        priority=Priority.HIGH,
        optional=False,
    ),
    _account(
        "grace-ending",
        "Your plan will stop unless it is paid",
        "Ihr Tarif endet ohne Zahlung",
        priority=Priority.HIGH,
        optional=False,
    ),
    _account(
        "period-summary",
        "Summary of your period",
        "Ihr Abrechnungszeitraum",
        priority=Priority.LOW,
        stale_after_s=7 * DAY_S,
    ),
    _account("key-created", "A new API key", "Ein neuer API-Schlüssel", roles=BUILDERS, stale_after_s=DAY_S),
    _account(
        "endpoint-disabled",
        "An endpoint was disabled",
        "Ein Endpunkt wurde abgeschaltet",
        priority=Priority.HIGH,
        optional=False,
    ),
    Kind(
        name="endpoint-test",
        title={"en": "A test of your endpoint", "de": "Ein Test Ihres Endpunkts"},
        audience=Audience.ACCOUNT,
        in_feed=False,
    ),
    Kind(
        name="digest",
        title={"en": "What happened in your account", "de": "Was in Ihrem Konto geschah"},
        audience=Audience.ACCOUNT,
        priority=Priority.LOW,
        in_feed=False,
        may_be_left=True,
        roles=BUILDERS,
    ),
    _message("verify-email", "Confirm your address", "Bestätigen Sie Ihre Adresse"),
    _message("already-registered", "You already have an account", "Sie haben schon ein Konto"),
    _message("reset-password", "Reset your password", "Ihr Passwort zurücksetzen"),
    _message("password-changed", "Your password was changed", "Ihr Passwort wurde geändert", in_feed=True),
    _message("new-sign-in", "New sign-in", "Neue Anmeldung", in_feed=True),
    _message("token-reused", "A session was ended", "Eine Sitzung wurde beendet", in_feed=True),
    _message("confirm-email-change", "Confirm your change of address", "Bestätigen Sie den Wechsel Ihrer Adresse"),
    _message("confirm-new-email", "Confirm your new address", "Bestätigen Sie Ihre neue Adresse"),
    _message("deletion-requested", "Your account will be deleted", "Ihr Konto wird gelöscht", in_feed=True),
    _message("invitation", "You are invited to a team", "Sie sind in ein Team eingeladen"),
    _message("key-leaked", "An API key was found in public", "Ein API-Schlüssel stand öffentlich", in_feed=True),
    _message(
        "second-factor-changed", "Your second factor changed", "Ihr zweiter Faktor hat sich geändert", in_feed=True
    ),
    _message("impersonated", "An operator looks at your account", "Ein Betreiber sieht Ihr Konto an", in_feed=True),
    _message("magic-link", "Sign in", "Anmelden"),
    _message("sign-in-changed", "Your ways to sign in changed", "Ihre Anmeldewege haben sich geändert", in_feed=True),
    _operators("dlq-grew", "A record was set aside", "Ein Datensatz wurde beiseitegelegt"),
    _operators("reconciliation-gap", "The books differ", "Die Bücher weichen ab", priority=Priority.URGENT),
    _operators("margin-fell", "A margin is below its floor", "Eine Marge liegt unter ihrer Untergrenze"),
    _operators("overage-stranded", "Use that nothing bills", "Nutzung, die nichts abrechnet"),
    _operators("provider-down", "A provider is down", "Ein Anbieter ist ausgefallen", priority=Priority.URGENT),
    _operators(
        "webhook-failures", "An endpoint was given up", "Ein Endpunkt wurde aufgegeben", priority=Priority.NORMAL
    ),
    _operators("send-test", "Test mail", "Testmail"),
)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in _ALL})
CHOOSABLE: Final = tuple(kind for kind in _ALL if kind.audience == Audience.ACCOUNT and kind.in_feed)
"""What people see in their preferences; those that are not optional are shown as such."""

THRESHOLD_KINDS: Final[Mapping[ThresholdLevel, str]] = MappingProxyType(
    {
        "percent_25": "credit-low-25",
        "percent_10": "credit-low-10",
        "empty": "credit-empty",
        "percent": "credit-low",
        "credits": "credit-low",
        "days_left": "forecast-run-out",
        "spend_spike": "spend-spike",
        "soft_limit": "soft-limit",
        "overage_ceiling": "overage-reached",
    }
)


def visible_kinds(role: str) -> list[str]:
    """What of an account's feed this role may see."""
    return [kind.name for kind in CHOOSABLE if role in kind.roles]


def personal_kinds() -> list[str]:
    """What of their own a person's feed shows."""
    return [kind.name for kind in _ALL if kind.audience == Audience.MESSAGE and kind.in_feed]


def title_of(kind: str, *, language: str = "en") -> str:
    """What the feed calls it; an unknown kind is its own name in words."""
    known = KINDS.get(kind)
    return known.title.get(language, known.title["en"]) if known else kind.replace("-", " ").capitalize()


def threshold_kind(level: ThresholdLevel, *, available: int) -> str:
    """The overage ceiling is told when it is near, with something left, and when it is reached."""
    if level == "overage_ceiling" and available > 0:
        return "overage-near"
    return THRESHOLD_KINDS[level]
