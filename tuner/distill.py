"""`tuner distill`: trains a student with one setting, such as a `best.yaml`, without Ray."""

import sys
from typing import TYPE_CHECKING, Any

from tuner.config.command import output_file, print_epoch, run_command
from tuner.config.command_line import parser_for, read_request
from tuner.config.options import DistillRequest
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from losses import DistillationLoss


def main(arguments: list[str] | None = None, prog: str = "python -m tuner.distill") -> int:
    """Runs the command; returns 0, 1 if the training diverged, or 2 for a bad request."""
    return run_command(lambda: _distill(arguments, prog))


def _distill(arguments: list[str] | None, prog: str) -> int:
    parser = parser_for(DistillRequest, prog, "Trains a student with one setting, without Ray.")
    request = read_request(DistillRequest, vars(parser.parse_args(arguments)))

    from tuner.config.workload import Workload, resolve
    from tuner.storage.folder import Storage
    from tuner.training.distillation import DivergedError
    from tuner.training.in_process import distill
    from tuner.training.teachers import write_network

    workload = resolve(request.model_dump(include=set(Workload.__dataclass_fields__)))
    method, setting = _method(request, workload.epochs)
    output = output_file(request.output) if request.output else None
    try:
        training = distill(workload, method, setting, print_epoch)
    except DivergedError as error:
        print(f"tuner: {error}; lower --lr or the method's weights", file=sys.stderr)  # noqa: T201
        return 1
    if request.test:
        print(f"test accuracy {training.test()['accuracy']:.2f} %")  # noqa: T201
    if output is not None:
        write_network(Storage(str(output.parent)), training.student, output.name)
        print(f"student: {output}")  # noqa: T201
    return 0


def _method(
    request: DistillRequest, num_epochs: int
) -> tuple["type[DistillationLoss]", dict[str, Any]]:
    """The method and its setting: published values, changed by --set."""
    from losses import Plain
    from search_spaces import SPACES, load_space
    from search_spaces.wording import suggestion
    from tuner.config.method import loss_class_of

    if request.method == "plain" and request.space is None:
        if request.set:
            raise RequestError("plain has no hyperparameters; leave out --set")
        return Plain, {}
    if request.space is None and request.method not in SPACES:
        known = (*SPACES, "plain")
        raise RequestError(
            f"unknown method {request.method!r}{suggestion(request.method, known)} "
            f"known: {', '.join(known)}"
        )
    place = request.space or request.method
    space = load_space(place).for_epochs(num_epochs)
    return loss_class_of(space, place), space.narrow(request.set).published()


if __name__ == "__main__":
    sys.exit(main())
