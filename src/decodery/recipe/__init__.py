"""Text -> checked data. Free of torch; `recipe.py` has the face, `tree.py` and `check.py` the work."""
