"""What each role may do: one table over every route of every service.

Auth's part stands beside auth (`services/auth/tests/component/test_role_table.py`), where each role is tried against
real ids too. A route that is in neither part fails `test_every_route_stands_in_the_table`.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROLES: Final = ("user", "developer", "admin", "owner")
ANYONE, SERVICES, CALLER, SESSION, SERVER = "anyone", "services", "caller", "session", "server"
OPERATOR, STEPPED_UP, OWN_TOKEN = "operator", "operator with a fresh proof", "a token of its own"
"""Besides a role, which means it and those above: anyone at all; a service; any credential; a session; an API key only;
an operator; an operator who has just stepped up; whoever has the token that only this route takes."""

ROUTING: Final = ("providers", "models", "aliases", "routes", "route-sets")
VERBS: Final = ("GET", "PUT", "PATCH", "DELETE")

OTHERS: Final[Mapping[tuple[str, str], str]] = {
    # gateway: the model API, older clients, a customer's own operations
    **{
        ("POST", path): CALLER
        for path in (
            *("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"),
            *("/v1/quote", "/api/claude/stream", "/api/v1/llm/invoke", "/api/v1/llm/test", "/generate"),
        )
    },
    **{
        ("GET", path): CALLER
        for path in (
            *("/v1/models", "/v1/models/{model_id}", "/v1/limits", "/me", "/api/auth/me"),
            *("/api/v1/llm/usage", "/api/v1/llm/providers", "/api/usage/current"),
        )
    },
    ("GET", "/api/v1/llm/balance"): "developer",
    ("POST", "/v1/holds"): SERVER,
    ("POST", "/v1/holds/{hold_id}/confirm"): SERVER,
    ("POST", "/v1/holds/{hold_id}/release"): SERVER,
    ("GET", "/v1/holds/{hold_id}"): SERVER,
    ("POST", "/v1/usage"): SERVER,
    **{("GET", path): ANYONE for path in ("/", "/api/hello", "/api/health", "/health/live", "/health/ready")},
    **{("POST", f"/api/v1/llm/providers/{{name}}/{verb}"): OPERATOR for verb in ("enable", "disable")},
    ("GET", "/gateway/operator/routing"): OPERATOR,
    **{("GET", f"/gateway/operator/{kind}"): OPERATOR for kind in ROUTING},
    **{(verb, f"/gateway/operator/{kind}/{{name}}"): OPERATOR for kind in ROUTING for verb in VERBS},
    **{
        ("POST", f"/gateway/operator/{kind}/{{name}}/{verb}"): OPERATOR
        for kind in ROUTING
        for verb in ("enable", "disable")
    },
    # ledger
    **{
        ("GET", path): CALLER
        for path in (
            "/ledger/usage",
            "/ledger/onboarding",
            "/ledger/export",
            "/v1/requests",
            "/v1/requests/{request_id}",
        )
    },
    **{
        ("GET", f"/ledger/{name}"): "developer"
        for name in ("balance", "transactions", "forecast", "statement", "levels")
    },
    ("PUT", "/ledger/levels"): "admin",
    ("POST", "/ledger/promos/redeem"): "admin",
    ("GET", "/ledger/audit"): "admin",
    **{
        ("GET", f"/ledger/operator/{name}"): OPERATOR
        for name in ("books", "promos", "margins", "liabilities", "debts", "audit")
    },
    **{("POST", f"/ledger/operator/{name}"): STEPPED_UP for name in ("adjustments", "refunds", "promos")},
    **{("POST", f"/ledger/operator/accounts/{{account_id}}/{verb}"): STEPPED_UP for verb in ("freeze", "thaw")},
    # billing
    ("GET", "/billing/offers"): ANYONE,
    ("POST", "/billing/webhooks/stripe"): ANYONE,
    ("GET", "/billing/checkout/{session_id}"): ANYONE,
    ("POST", "/api/stripe/webhook"): ANYONE,
    ("GET", "/billing/subscription"): CALLER,
    **{
        ("POST", path): "admin"
        for path in (
            *("/billing/checkout", "/api/billing/checkout", "/api/stripe/create-checkout-session"),
            *("/billing/portal", "/api/stripe/create-portal-session", "/billing/pay-per-use"),
            *(f"/billing/subscription/{verb}" for verb in ("preview", "change", "cancel", "resume")),
            *("/billing/payment-methods/{method_id}/default", "/billing/auto-top-up/resume", "/billing/tax-ids"),
        )
    },
    **{
        ("GET", f"/billing/{name}"): "admin"
        for name in (
            *("payments", "payments/{payment_id}/use", "invoices", "invoices/{invoice_id}", "credit-notes"),
            *("payment-methods", "auto-top-up", "tax-ids", "invoices/{invoice_id}/use"),
        )
    },
    ("DELETE", "/billing/payment-methods/{method_id}"): "admin",
    ("DELETE", "/billing/tax-ids/{tax_id}"): "admin",
    **{(verb, "/billing/auto-top-up"): "admin" for verb in ("PUT", "DELETE")},
    ("PUT", "/billing/overage"): "admin",
    **{("GET", f"/billing/operator/{name}"): OPERATOR for name in ("paths", "tax", "audit")},
    ("PUT", "/billing/operator/paths/{path}"): STEPPED_UP,
    ("PUT", "/billing/operator/tax"): STEPPED_UP,
    # notifier
    **{("GET", f"/notifications{name}"): CALLER for name in ("", "/unread", "/stream", "/preferences", "/schedule")},
    ("POST", "/notifications/read"): CALLER,
    ("POST", "/notifications/{notice_id}/read"): CALLER,
    ("PUT", "/notifications/preferences/{kind}"): CALLER,
    ("PUT", "/notifications/schedule"): CALLER,
    ("POST", "/notifications/bounces"): OWN_TOKEN,
    **{
        ("GET", f"/notifications/endpoints{name}"): "admin"
        for name in ("", "/{endpoint_id}", "/{endpoint_id}/deliveries")
    },
    **{
        ("POST", f"/notifications/endpoints{name}"): "admin"
        for name in ("", "/{endpoint_id}/secret", "/{endpoint_id}/test", "/{endpoint_id}/replay")
    },
    ("PATCH", "/notifications/endpoints/{endpoint_id}"): "admin",
    ("DELETE", "/notifications/endpoints/{endpoint_id}"): "admin",
    ("GET", "/notifications/deliveries"): OPERATOR,
}
WORDS: Final = {"api_key": CALLER, "operator": OPERATOR}
"""How auth's table names what is named otherwise here."""


def _auths() -> dict[tuple[str, str], str]:
    path = Path(__file__).parents[2] / "services/auth/tests/component/test_role_table.py"
    spec = importlib.util.spec_from_file_location("auths_role_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {route: _stepped_up(route, WORDS.get(rule.who, rule.who)) for route, rule in module.TABLE.items()}


def _stepped_up(route: tuple[str, str], who: str) -> str:
    """Whatever an operator changes at auth is about users, and needs a fresh proof."""
    return STEPPED_UP if who == OPERATOR and route[0] != "GET" else who


TABLE: Final[Mapping[tuple[str, str], str]] = {**OTHERS, **_auths()}


def rule_of(route: tuple[str, str]) -> str:
    """Who may; what is internal is for services, unless the table says otherwise. Raises `KeyError`."""
    internal = route[1].startswith("/internal/") and route not in TABLE
    return SERVICES if internal else TABLE[route]
