"""The outside: auth's directory of people, the mail server, the templates."""
