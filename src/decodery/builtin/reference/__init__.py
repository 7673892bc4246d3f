"""Short torch functions, equal to Hugging Face's classes bit for bit: what a step means.

Each module is a pure function on scores and a small class that a recipe's parameters build.
"""
