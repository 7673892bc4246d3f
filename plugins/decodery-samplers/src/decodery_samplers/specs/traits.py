"""What steps claim of themselves, in the combinations that occur."""

SCORES_ALONE = frozenset({"stateless", "compilable"})
KEEPS_BEST = SCORES_ALONE | {"argmax_invariant"}
HISTORY = SCORES_ALONE | {"ragged", "reads_history"}
READS_TEXT = HISTORY - {"compilable"}
"""Text is looked at on the host."""
