"""What leaves the hub to be checked without it: one file that a court's expert reads and runs."""
