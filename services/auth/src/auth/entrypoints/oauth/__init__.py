"""Routes of our authorization server."""
