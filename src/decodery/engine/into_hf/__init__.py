"""A pipeline inside transformers' own `generate`: its processors and its stop rules as objects of theirs."""
