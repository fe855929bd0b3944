"""Use cases: take a session, never commit."""
