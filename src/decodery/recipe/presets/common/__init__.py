"""What the formats share: reading their text, their keys, the report."""
