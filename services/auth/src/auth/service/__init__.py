"""Use cases. They take a session, never commit, and do no network I/O."""
