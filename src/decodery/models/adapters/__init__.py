"""Ways of driving a model, one a file."""
