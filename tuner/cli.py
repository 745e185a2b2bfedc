"""The `tuner` script: the commands as sub-commands."""

import importlib
import sys

from tuner import __version__

COMMANDS = {
    "search": "search the hyperparameters of a distillation",
    "status": "say how far a search is, from any machine that sees its storage",
    "stop": "stop a search that runs somewhere; it can be resumed",
    "teach": "train a teacher, or check one from a checkpoint",
    "distill": "train a student with one setting, without Ray",
    "reproduce": "run an experiment of a paper, published beside measured",
    "report": "rebuild a search's report; of several, compare them",
    "cache": "list, check, prune or fill what is kept of teachers' outputs",
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
