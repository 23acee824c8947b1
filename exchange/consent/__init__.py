"""Who may see what: consents read as rules, the decision, and its enforcement on the result."""
