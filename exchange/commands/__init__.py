"""The commands of `exchange`, one file a room; cli mounts them."""
