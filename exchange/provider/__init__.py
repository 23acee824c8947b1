"""The demonstration's own OpenID Connect provider: people with passwords and one-time codes, for invented data alone."""
