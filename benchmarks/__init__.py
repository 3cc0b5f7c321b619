"""Measurements of speed: `python -m benchmarks.training` and so on."""
