"""Kernels that XLA computes fast inside a loop on the CPU."""
