"""A key's scopes bound its routes and models; with one of a kind, nothing else of that kind is allowed."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gateway.identity.credential import Credential, ScopeError
from kit.tokens import Caller


def credential(*scopes: str) -> Credential:
    caller = Caller(
        user_id=uuid4(),
        account_id=uuid4(),
        role="developer",
        operator=False,
        session_id=None,
        api_key_id=uuid4(),
        project_id=None,
        plan=None,
        scopes=scopes,
        expires_at=datetime.now(UTC),
    )
    return Credential.of(caller, "")


@pytest.mark.parametrize(
    ("scopes", "route", "models", "allowed"),
    [
        ((), "/v1/messages", ("claude-haiku-5-5",), True),
        (("model:claude-haiku-5-5",), "/v1/messages", ("claude-haiku-5-5",), True),
        (("model:claude-haiku-5-5",), "/v1/messages", ("claude-opus-5-5",), False),
        (("model:claude-haiku-5-5",), "/v1/requests", (), True),
        (("model:fast",), "/v1/messages", ("fast", "claude-haiku-5-5"), True),
        (("model:claude-haiku-5-5",), "/v1/messages", ("fast", "claude-haiku-5-5"), True),
        (("model:fast",), "/v1/messages", ("claude-haiku-5-5", "claude-haiku-5-5"), False),
        (("model:claude",), "/v1/messages", ("claude-haiku-5-5",), False),
        (("route:/v1/messages",), "/v1/messages", ("claude-haiku-5-5",), True),
        (("route:/v1/messages",), "/v1/messages/count_tokens", (), True),
        (("route:/v1/messages",), "/v1/messages2", (), False),
        (("route:/v1/messages",), "/v1/chat/completions", (), False),
        (("route:/v1/messages", "route:/v1/models", "model:a", "model:b"), "/v1/models/b", ("b",), True),
        (("route:/v1/messages", "model:a"), "/v1/messages", ("b",), False),
        (("budget:everything",), "/v1/messages", ("a",), False),
        (
            (
                "model:a",
                "something",
            ),
            "/v1/messages",
            ("a",),
            False,
        ),
        (("model:",), "/v1/messages", ("a",), False),
    ],
)
def test_scopes(scopes: tuple[str, ...], route: str, models: tuple[str, ...], allowed: bool) -> None:  # noqa: FBT001
    key = credential(*scopes)

    assert key.allows(route, *models) is allowed
    if allowed:
        key.check(route, *models)
    else:
        with pytest.raises(ScopeError) as refused:
            key.check(route, *models)
        assert refused.value.kind == "forbidden"
