"""What operators and schedules run from a shell, beyond serving."""
