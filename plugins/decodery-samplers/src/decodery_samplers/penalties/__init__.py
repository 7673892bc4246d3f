"""Steps that look at the tokens that occurred."""
