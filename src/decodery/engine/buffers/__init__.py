"""What a run has and what its session has seen: the tokens of every row, and the columns fed of them."""
