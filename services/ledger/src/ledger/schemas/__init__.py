"""What the ledger's routes take and answer. Money is a decimal string in credits."""
