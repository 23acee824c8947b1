"""The sealed store: one row for each current resource, its past versions, and the indexes that find them."""
