"""The adapters of the region as the hub sees them: what they report, who is silent, what operators measure."""
