"""`python -m scripts.stack up|down|status|deploy`, by the `OPEVA_*` variables."""

import argparse
import sys

from scripts.stack.plan import Plan
from scripts.stack.stack import Stack, StackError


def _show(stack: Stack) -> bool:
    """Print where everything is and whether it runs; True if all of it does."""
    status = stack.status()
    state = ", ".join(f"{name} {word}" for name, word in status["applications"].items()) or "no application"
    print(f"API        {stack.api_url}  {'answers' if status['api'] else 'does not answer'} ({state})")
    print(f"Docs       {stack.api_url}/docs")
    print(f"Dashboard  {stack.dashboard_url}  Ray {'runs' if status['ray'] else 'does not run'}")
    print(f"Database   {'OPEVA_MONGO_URI' if stack.plan.mongo_uri else stack.mongo.uri + '  (for development)'}")
    print(f"Shared     {stack.plan.shared_root}")
    print(f"Logs       {stack.plan.logs}, {stack.plan.ray_folder}/session_latest/logs")
    return bool(status["ray"] and status["api"] and status["database"])


def main() -> int:
    """The command line; 0 if what was asked for is so."""
    parser = argparse.ArgumentParser(prog="python -m scripts.stack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "deploy"])
    command = parser.parse_args().command
    try:
        stack = Stack(Plan.from_environment())
        if command == "down":
            stack.down()
            return 0
        if command != "status":
            stack.up(redeploy=command == "deploy")
    except (StackError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if _show(stack) else 1


if __name__ == "__main__":
    sys.exit(main())
