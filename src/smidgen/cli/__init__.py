"""The command line. Heavy imports stay inside the commands, so that --help answers at once."""

import sys


def main() -> None:
    """Run the `smidgen` program; even Ctrl-C while it is still loading leaves quietly."""
    try:
        from smidgen.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
