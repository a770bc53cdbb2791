"""Pruning of neural networks: pure functions over trees of arrays, in JAX."""
