"""The `tuner` script: runs the commands as subcommands."""

import importlib
import sys

from tuner import __version__

COMMANDS = {
    "search": "search the hyperparameters of a distillation",
    "status": "show the progress of a search, wherever it runs",
    "stop": "stop a search, wherever it runs; it can be resumed",
    "teach": "train a teacher, or check and import one from a checkpoint",
    "distill": "train a student with one setting, without Ray",
    "reproduce": "repeat an experiment of a paper, and compare with the published numbers",
    "report": "rebuild the report of a run, or compare several searches",
    "cache": "list, check, prune or precompute stored teacher outputs",
}
HELP = "usage: tuner COMMAND [options]\n\ncommands:\n" + "\n".join(
    f"  {name:<9} {text}" for name, text in COMMANDS.items()
)


def main() -> int:
    """Runs `tuner COMMAND`; each has its own --help."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(HELP)  # noqa: T201
        return 0
    if name == "--version":
        print(f"tuner {__version__}")  # noqa: T201
        return 0
    if name not in COMMANDS:
        print(  # noqa: T201
            f"tuner: unknown command {name!r}; known: {', '.join(COMMANDS)}", file=sys.stderr
        )
        return 2
    command = importlib.import_module(f"tuner.{name}")
    status: int = command.main(arguments, prog=f"tuner {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
