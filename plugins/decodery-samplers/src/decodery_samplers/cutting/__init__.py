"""Steps that ban unlikely tokens."""
