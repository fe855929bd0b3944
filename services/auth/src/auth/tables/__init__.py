"""The rows that auth keeps."""

from auth.tables.audit import AuditRow
from auth.tables.base import MACHINERY, Base
from auth.tables.keys import ApiKeyRow, SigningKeyRow
from auth.tables.limits import BucketRow, FailureRow
from auth.tables.machines import ProjectShareRow, ServiceAccountRow
from auth.tables.messages import MessageLinkRow, MessageRow
from auth.tables.oauth import AuthorizationCodeRow, ClientRow, ConsentRow, DeviceCodeRow, SessionKeyRow
from auth.tables.outside import (
    BrowserRequestRow,
    ChallengeRow,
    IdentityRow,
    OutsideAccountRow,
    OutsideProjectRow,
    PasskeyRow,
)
from auth.tables.people import (
    AccountRow,
    CredentialRow,
    EmailChangeRow,
    InvitationRow,
    MemberRow,
    ProjectRow,
    SubscriptionRow,
    UserRow,
)
from auth.tables.second_factors import RecoveryCodeRow, TotpRow
from auth.tables.sessions import RefreshTokenRow, SessionRow

__all__ = [
    "MACHINERY",
    "AccountRow",
    "ApiKeyRow",
    "AuditRow",
    "AuthorizationCodeRow",
    "Base",
    "BrowserRequestRow",
    "BucketRow",
    "ChallengeRow",
    "ClientRow",
    "ConsentRow",
    "CredentialRow",
    "DeviceCodeRow",
    "EmailChangeRow",
    "FailureRow",
    "IdentityRow",
    "InvitationRow",
    "MemberRow",
    "MessageLinkRow",
    "MessageRow",
    "OutsideAccountRow",
    "OutsideProjectRow",
    "PasskeyRow",
    "ProjectRow",
    "ProjectShareRow",
    "RecoveryCodeRow",
    "RefreshTokenRow",
    "ServiceAccountRow",
    "SessionKeyRow",
    "SessionRow",
    "SigningKeyRow",
    "SubscriptionRow",
    "TotpRow",
    "UserRow",
]
