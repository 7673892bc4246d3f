"""decodery's kernels for the CPU, in C++."""
