"""Packing: what a pack can be made of, read in pieces, so that a source may be larger than the memory."""
