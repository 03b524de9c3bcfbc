"""`python -m streaming` is `python -m maskcast`."""

from maskcast.__main__ import main

if __name__ == "__main__":
    main()
