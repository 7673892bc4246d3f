"""acme-decode: steps and a strategy for decodery."""
