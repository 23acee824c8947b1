"""The regional policy, and the labels that follow from it."""
