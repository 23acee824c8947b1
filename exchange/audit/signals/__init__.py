"""Signals: accesses that somebody should look into, ranked by how little explains them."""
