"""Samplers beyond Hugging Face's, as a plugin of decodery."""
