"""The command line: each command with its options, and what stands in its help."""
