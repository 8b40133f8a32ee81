"""Packs: data sets in a folder of files that are mapped, not loaded; written once in one shuffle, checked at each read.

A pack holds rows of one size (`record`) in files that plain NumPy maps, and ``data.toml``, which says what they are
(`manifest`). `pack_writer` makes packs, `source` reads them for a training, and `verification` checks all of one.
"""
