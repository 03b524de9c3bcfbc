"""The process `maskcast`, also as `python -m streaming`."""

import sys
from typing import NoReturn

from streaming import hangup


def main() -> NoReturn:
    """Run the command line; the console script's entry point."""
    if sys.argv[1:2] == ["run"]:  # before all that takes time; a terminal that is closed ends the other commands
        hangup.remember()
    from streaming import cli

    cli.main()


if __name__ == "__main__":
    main()
