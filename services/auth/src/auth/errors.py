"""What auth refuses, in its own words; none of these says whether an address is known."""

from typing import ClassVar

from kit.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidError,
    Kind,
    NotFoundError,
    UnauthenticatedError,
)


class AddressError(InvalidError):
    code = "invalid_email"


class WeakPasswordError(InvalidError):
    code = "weak_password"


class WrongCredentialsError(UnauthenticatedError):
    code = "wrong_credentials"


class WrongPasswordError(ForbiddenError):
    """Of somebody who is signed in: a 401 would make clients refresh their token."""

    code = "wrong_password"


class SecondFactorRequiredError(UnauthenticatedError):
    """The password was right; send it again with a code."""

    code = "second_factor_required"


class WrongCodeAtSignInError(UnauthenticatedError):
    code = "wrong_code"


class WrongCodeError(ForbiddenError):
    code = "wrong_code"


class CodeRequiredError(ForbiddenError):
    code = "second_factor_required"


class NoSecondFactorError(ConflictError):
    code = "no_second_factor"


class SecondFactorExistsError(ConflictError):
    code = "second_factor_exists"


class LastOwnerError(ConflictError):
    code = "last_owner"


class RefreshTokenError(UnauthenticatedError):
    code = "invalid_refresh_token"


class RefreshTokenReusedError(UnauthenticatedError):
    code = "refresh_token_reused"


class ServiceSecretError(UnauthenticatedError):
    code = "wrong_service_secret"


class TooManyAttemptsError(DomainError):
    kind: ClassVar[Kind] = "too_many"
    code = "too_many_attempts"


class SessionRequiredError(ForbiddenError):
    """An API key may not manage keys or sessions: a leaked one could make itself permanent."""

    code = "session_required"


class RoleError(ForbiddenError):
    code = "role_forbids"


class ServiceForbiddenError(ForbiddenError):
    code = "service_not_allowed"


class NotVerifiedError(ForbiddenError):
    code = "email_not_verified"


class InvitationForAnotherError(ForbiddenError):
    code = "invitation_for_another"


class NotATeamError(ConflictError):
    code = "not_a_team"


class AlreadyMemberError(ConflictError):
    code = "already_member"


class SubscriptionRunsError(ConflictError):
    """Closing an account that pays on would go on charging somebody who is gone."""

    code = "subscription_runs"


class AccountClosedError(ConflictError):
    code = "account_closed"


class DefaultProjectError(ConflictError):
    code = "default_project"


class KeyNotActiveError(ConflictError):
    code = "api_key_not_active"


class TooManyTeamsError(ConflictError):
    code = "too_many_teams"


class TooManyProjectsError(ConflictError):
    code = "too_many_projects"


class TooManyInvitationsError(ConflictError):
    code = "too_many_invitations"


class TooManyKeysError(ConflictError):
    code = "too_many_api_keys"


class UnknownAccountError(NotFoundError):
    code = "unknown_account"


class UnknownMemberError(NotFoundError):
    code = "unknown_member"


class UnknownInvitationError(NotFoundError):
    code = "unknown_invitation"


class UnknownApiKeyError(NotFoundError):
    code = "unknown_api_key"


class OperatorImpersonatedError(ForbiddenError):
    """An operator's eyes see what only operators may."""

    code = "user_is_operator"


class UnknownShareError(NotFoundError):
    code = "unknown_share"


class AlreadySharedError(ConflictError):
    code = "already_shared"


class SameAccountError(ConflictError):
    code = "same_account"


class TooManySharesError(ConflictError):
    code = "too_many_shares"


class ShareReadsOnlyError(ForbiddenError):
    code = "share_reads_only"


class UnknownServiceAccountError(NotFoundError):
    code = "unknown_service_account"


class TooManyServiceAccountsError(ConflictError):
    code = "too_many_service_accounts"


class UnknownProjectError(NotFoundError):
    code = "unknown_project"


class UnknownSessionError(NotFoundError):
    code = "unknown_session"


class UnknownMessageError(NotFoundError):
    code = "unknown_message"


class UnknownUserError(NotFoundError):
    code = "unknown_user"


class LinkUsedError(NotFoundError):
    code = "link_used_or_expired"


class KeyAlreadyWaitingError(ConflictError):
    code = "signing_key_already_waiting"


class OAuthError(DomainError):
    """A refusal in the words of RFC 6749 (5.2), 7009 and 8628, for programs to read; `error` is one of those words."""

    kind: ClassVar[Kind] = "invalid"
    code = "oauth_refused"

    def __init__(self, error: str, detail: str, *, status: int = 400) -> None:
        super().__init__(detail)
        self.error = error
        self.status = status


class AuthorizationRefusedError(OAuthError):
    """The same, told to the program by way of the browser."""

    def __init__(self, error: str, detail: str, *, redirect_uri: str, state: str) -> None:
        super().__init__(error, detail)
        self.redirect_uri = redirect_uri
        self.state = state


class ProgramForbiddenError(ForbiddenError):
    """What a user lets a program do never includes what asks for their password."""

    code = "not_for_programs"


class UnknownClientError(NotFoundError):
    code = "unknown_program"


class ClientInConfigurationError(ConflictError):
    code = "program_in_configuration"


class UnknownConsentError(NotFoundError):
    code = "unknown_consent"


class SessionKeysOffError(ForbiddenError):
    code = "session_keys_off"


class NotInBrowserError(ForbiddenError):
    """The request was made by another site, or not by a page of ours."""

    code = "cross_site_request"


class SignInNeededError(UnauthenticatedError):
    """Of a page: its visitor is led to the sign-in and back."""

    code = "sign_in_needed"


class OtherBrowserError(ForbiddenError):
    """A link was opened in another browser than the one that asked for it; it stays good for that one."""

    code = "other_browser"


class DisposableAddressError(InvalidError):
    code = "disposable_email"


class SignUpProofError(InvalidError):
    """The answer to the sign-up challenge is missing, wrong, or was used before."""

    code = "sign_up_proof"


class UnknownProviderError(NotFoundError):
    code = "unknown_provider"


class OutsideSignInError(UnauthenticatedError):
    """The provider did not vouch for anybody, or not in answer to this browser."""

    code = "outside_sign_in_failed"


class NobodyKnownError(ForbiddenError):
    """Whom the outside issuer vouches for is no user here, and none is made."""

    code = "unknown_identity"


class IdentityTakenError(ConflictError):
    code = "identity_taken"


class UnknownIdentityError(NotFoundError):
    code = "unknown_identity"


class LastWayInError(ConflictError):
    code = "last_way_in"


class PasskeyRefusedError(ForbiddenError):
    """Of somebody who is signed in: a 401 would make clients refresh their token."""

    code = "passkey_refused"


class PasskeyRefusedAtSignInError(UnauthenticatedError):
    code = "passkey_refused"


class PasskeyExistsError(ConflictError):
    code = "passkey_exists"


class TooManyPasskeysError(ConflictError):
    code = "too_many_passkeys"


class UnknownPasskeyError(NotFoundError):
    code = "unknown_passkey"


class OutsideTokenError(InvalidError):
    """A token of an outside issuer that is not good for an exchange."""

    code = "invalid_subject_token"


class ExchangeRefusedError(ForbiddenError):
    code = "exchange_refused"
