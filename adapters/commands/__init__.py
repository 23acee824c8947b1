"""What a hospital's IT desk types, one file for each group of commands; messages in Spanish, with a code and a remedy.

Spec:    docs/adapters.md, "Commands".
Leaves:  the words that begin a command, and what a failure means, to the CLI; all work to the cycle.
"""
