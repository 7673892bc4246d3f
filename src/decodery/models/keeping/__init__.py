"""A module is left as it was found, and one session at a time has it."""
