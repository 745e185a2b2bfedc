"""`python -m benchmarks NAME`: measures, prints a table, writes JSON."""

import sys


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0, 1 if a check of the GPU failed, or 2 for a bad request."""
    # Imported here: on a machine with a GPU, Ray, MLflow and what else a search needs may be
    # missing, and all other checks still run.
    if arguments[:1] == ["gpu"]:
        from benchmarks.gpu.check import main as check_gpu

        return check_gpu(arguments[1:])
    if arguments[:1] == ["decisions"]:
        from benchmarks.decisions.command import main as decide

        return decide(arguments[1:])
    from benchmarks.command import main as measure

    return measure(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
