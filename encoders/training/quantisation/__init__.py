"""Towers in 8 bits: calibration, smoothing, rounding, the graph, and the proof that the neighbours stay."""
