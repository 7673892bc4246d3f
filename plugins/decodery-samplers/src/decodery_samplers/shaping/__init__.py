"""Steps that reshape the scores and ban nothing."""
