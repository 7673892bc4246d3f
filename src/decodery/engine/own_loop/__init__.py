"""A pipeline in the caller's own loop: called as it is, or bound to a prompt."""
