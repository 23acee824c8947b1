"""What happens later: sealing the audit log."""
