"""Ways of choosing tokens."""
