"""Signing in by other ways than a password: providers, mails, passkeys."""
