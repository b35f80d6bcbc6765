"""`python -m opeva_simulator`: the container's entry point."""

import sys

from opeva_simulator.stopping import EXIT_STOPPED, Stopped, stop_on_sigterm


def _main() -> int:
    # Before the import that takes seconds: a container that is stopped while it starts ends as promptly as any other.
    stop_on_sigterm()
    try:
        from opeva_simulator.cli import main

        return main()
    except Stopped:
        return EXIT_STOPPED


if __name__ == "__main__":
    sys.exit(_main())
