"""YAML's letters: bytes, characters, scalars, nodes; read through PyYAML's events, written by ourselves."""
