"""A witness: it cosigns heads of logs that only ever grew, keeps the last of each, and needs nothing of a hub."""
