"""The longer formats' parts: key tables, words, the way out."""
