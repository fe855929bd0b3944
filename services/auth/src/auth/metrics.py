"""What auth counts; labels come from closed sets."""

from typing import Final

from prometheus_client import Counter

SIGN_INS: Final = Counter("faregate_auth_sign_ins_total", "Sign-ins, by how they ended.", ["outcome"])
SESSIONS_REUSED: Final = Counter(
    "faregate_auth_refresh_tokens_reused_total", "Refresh tokens that were used again after their grace."
)
KEYS_LEAKED: Final = Counter("faregate_auth_api_keys_leaked_total", "API keys that were reported as leaked.")
AUDITED: Final = Counter("faregate_auth_audit_entries_total", "Entries written into the audit log.", ["actor"])
