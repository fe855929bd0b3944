"""The only imports of vendors: argon2, AES-GCM, Ed25519 and JWT, pyotp, webauthn, Authlib, what knows addresses."""
