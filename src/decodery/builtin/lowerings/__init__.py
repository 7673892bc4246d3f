"""What the planner is told of the built-in steps: a module for each in `reference/`."""
