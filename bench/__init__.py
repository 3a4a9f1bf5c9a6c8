"""Measured comparisons of the whole system with what one would build instead: `python -m bench`."""
