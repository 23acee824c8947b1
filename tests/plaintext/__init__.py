"""Is anything of a patient readable at rest? Needles told to a hub, and looked for wherever it leaves bytes: `make plaintext-scan`."""
