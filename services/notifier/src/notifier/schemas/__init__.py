"""What the HTTP routes take and answer; no answer holds an address."""
