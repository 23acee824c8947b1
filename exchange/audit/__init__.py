"""The audit log: BALP events in the act's own transaction, a Merkle tree over them, checkpoints, verification."""
