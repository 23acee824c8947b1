"""A hub whose processes and whose database are killed again and again: `make crash`."""
