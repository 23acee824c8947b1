"""The region's policy and the labels that follow from it."""
