"""A recipe's steps as one run has them: built with its facts, and called so that rows stay apart."""
