"""Steps that know tokens by their text."""
