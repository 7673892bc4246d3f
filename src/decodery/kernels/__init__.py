"""Tensor kernels: pure functions that the engine runs on scores. Each fused one has a plain twin that judges it."""
