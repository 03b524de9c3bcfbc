"""`python -m streaming` is `maskcast`."""

from streaming.cli import main

main()
