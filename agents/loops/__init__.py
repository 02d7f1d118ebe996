"""Networks as loops for a CPU, which numba compiles, and as kernels for a GPU; torch's code is the reference."""
