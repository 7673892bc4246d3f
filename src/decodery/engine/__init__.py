"""Pipeline, bind, plan, run, loop: from a recipe and a model to tokens."""
