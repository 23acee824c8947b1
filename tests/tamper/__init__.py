"""Ten classes of attack on the audit log, each held against its export and the offline verifier: `make tamper`."""
