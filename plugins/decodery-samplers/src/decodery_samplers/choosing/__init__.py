"""Ways of choosing a token, and steps that leave one."""
