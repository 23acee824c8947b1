"""How bytes come in: files of a folder, messages of a port. What they mean is for the mappers."""
