"""Few rows on a CPU: sums in place of a library's products, and weights of half-precision numbers read as halves."""
