"""Reading e-mail addresses; no name server is asked."""

from email_validator import EmailNotValidError, validate_email

from auth.errors import AddressError


def parse(address: str, *, reserved_names: bool = False) -> tuple[str, str]:
    """The address to write to, and its lower-cased normal form. `reserved_names` lets `.test` pass, for the sandbox."""
    try:
        parsed = validate_email(address.strip(), check_deliverability=False, test_environment=reserved_names)
    except EmailNotValidError as error:
        raise AddressError(str(error), field="email") from None
    return parsed.normalized, parsed.normalized.lower()
