"""The process `maskcast`, also as `python -m maskcast`."""

import sys
from typing import NoReturn

from maskcast.errors import UsageError
from maskcast.shadowing import refuse_shadows


def main() -> NoReturn:
    """Run the command line; the console script's entry point."""
    try:
        refuse_shadows()
    except UsageError as error:
        sys.stderr.write(f"maskcast: error: {error}\n")
        sys.exit(error.exit_code)
    if sys.argv[1:2] == ["run"]:  # before all that takes time; a terminal that is closed ends the other commands
        import streaming.process

        streaming.process.remember_hangup()
    import streaming.cli.app

    streaming.cli.app.main()


if __name__ == "__main__":
    main()
