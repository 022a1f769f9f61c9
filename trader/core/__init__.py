"""The pure core: no input or output, no clock, no randomness, no async; the standard library and numpy only."""
