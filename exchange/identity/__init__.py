"""One person, many records: which source patient records are of one person."""
