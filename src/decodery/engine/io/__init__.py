"""The engine's two ends: prompts in; text, events and results out."""
