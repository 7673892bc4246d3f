"""One token a row on a CUDA device: what is found in inductor's graph, and the kernels that do it."""
