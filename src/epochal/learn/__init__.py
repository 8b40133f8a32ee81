"""The page on which the real engine takes one step when asked: `epochal learn`."""
