"""Use cases: notices become deliveries, deliveries become mails."""
