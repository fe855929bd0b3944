"""The ledger's way to outside parties."""
