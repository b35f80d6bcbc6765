"""Measurements: each prints what it found as a ratio to the alternative, both measured in one run."""
