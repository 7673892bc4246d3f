"""What can be told of recipes: every value's origin, what differs, the schema for editors."""
