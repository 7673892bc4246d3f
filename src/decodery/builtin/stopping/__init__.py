"""Stop rules: which rows are finished."""
