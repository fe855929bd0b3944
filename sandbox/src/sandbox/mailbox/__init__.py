"""A mailbox that takes all mail and shows it, in place of a mail provider."""
