"""Sealing and blind indexing: the key tree, the envelope of a body, keyed hashes of search values."""
