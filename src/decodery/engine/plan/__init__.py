"""The processors of a run as one function, and what of it runs as kernels."""
