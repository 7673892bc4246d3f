"""What torch.compile makes of a model's forward, for one token a row."""
