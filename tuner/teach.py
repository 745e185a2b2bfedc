"""`tuner teach`: trains a teacher, or checks and imports one from a checkpoint."""

import hashlib
import sys
from pathlib import Path

from tuner.config.command import output_file, print_epoch, run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import TeachRequest


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.teach") -> int:
    """Runs the command; returns 0, 1 if the training diverged, or 2 for a bad request."""
    return run_command(lambda: _teach(arguments, prog))


def _teach(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(
        TeachRequest, prog, "Trains a teacher, or checks and imports one from a checkpoint."
    )
    request = read_request(TeachRequest, vars(parser.parse_args(arguments)))

    import models
    from tuner.config.workload import Workload, resolve
    from tuner.storage.folder import Storage
    from tuner.training.distillation import DivergedError
    from tuner.training.evaluation import evaluate
    from tuner.training.in_process import train_teacher
    from tuner.training.precision import device_for
    from tuner.training.teachers import find_teacher, kept_teacher, write_network
    from tuner.training.workload_data import open_data

    output = output_file(request.output) if request.output else None
    workload = resolve(request.model_dump(include=set(Workload.__dataclass_fields__)))
    dataset, splits = open_data(workload)
    teacher = find_teacher(workload, dataset)
    if teacher is None:
        try:
            teacher = train_teacher(workload, dataset, splits, print_epoch).student
        except DivergedError as error:
            print(f"tuner: {error}; lower --teacher-lr", file=sys.stderr)  # noqa: T201
            return 1
    device = device_for()
    teacher = teacher.to(device)
    given = workload.teacher_checkpoint
    for name in ("validation", "test"):
        accuracy = evaluate(teacher, dataset, getattr(splits, name), device)["accuracy"]
        print(f"{name} accuracy {accuracy:.2f} %")  # noqa: T201
    if output is not None:
        write_network(Storage(str(output.parent)), teacher, output.name)
    elif given is not None and models.is_pretrained(workload.teacher, given):
        print(f"use it with --teacher {workload.teacher}@{given}")  # noqa: T201
        return 0
    path = output or Path(given or kept_teacher(workload, dataset))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}  sha256 {digest}")  # noqa: T201
    print(f"use it with --teacher {workload.teacher}@{path}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
