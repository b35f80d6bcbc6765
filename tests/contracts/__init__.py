"""Promises that a fake and the real part keep: `tests/unit` runs them on the fake, `tests/integration` on the part."""
