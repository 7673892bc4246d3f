"""decodery's kernels for CUDA, in Triton."""
