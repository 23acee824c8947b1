"""Backups of the hub: made sealed, verified by restoring them, restored.

Leaves:  what an operator types to commands/backup; what to run when to docs/backup.md.
"""
