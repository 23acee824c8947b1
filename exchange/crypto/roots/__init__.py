"""Where the root of the key tree lies: a file for demonstrations, a token or a key server for everything else."""
