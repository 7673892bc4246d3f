"""A step as a CUDA graph: forward, processors, draw and history in one launch."""
