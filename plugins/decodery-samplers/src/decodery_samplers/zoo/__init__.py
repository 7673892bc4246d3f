"""The seven of logits-processor-zoo."""
