"""One generation, as the loop and strategies see it."""
