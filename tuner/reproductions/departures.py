"""Lists how a request departs from the paper's protocol, in words for the report."""

from collections.abc import Iterator

from search_spaces.wording import text_of
from tuner.config.options import ReproduceRequest
from tuner.config.presets import find_preset, preset_for, preset_pins
from tuner.config.workload import Workload
from tuner.reproductions.experiment import Experiment
from tuner.text.formatting import count_text

# Options that say so by themselves when they are given.
OPTIONS = (
    "teacher_epochs",
    "teacher_lr",
    "batch_size",
    "lr",
    "lr_decay_epochs",
    "lr_decay_rate",
    "momentum",
    "weight_decay",
    "crop_padding",
    "flip",
    "image_size",
    "validation_fraction",
    "passes",
)


def departures_of(
    published: Experiment, selected: Experiment, request: ReproduceRequest, workload: Workload
) -> tuple[str, ...]:
    """How the selected experiment differs from the published one; empty at full scale.

    `workload`: that of the first pair; all pairs have the same data and epochs.
    """
    return (
        *_of_data_and_schedule(published, selected, request, workload),
        *_of_selection(published, selected, request),
        *_of_hyperparameters(selected, request, workload),
        *_of_options(request),
    )


def drops_of(workload: Workload) -> list[int]:
    """The epochs after which the learning rate drops, if another epoch follows."""
    return [drop for drop in workload.lr_decay_epochs if drop < workload.epochs]


def _of_data_and_schedule(
    published: Experiment, selected: Experiment, request: ReproduceRequest, workload: Workload
) -> Iterator[str]:
    if request.data != published.data and not str(request.data).startswith(f"{published.data}:"):
        yield f"data {request.data} instead of {published.data}"
    if request.limit is not None:
        yield count_text(request.limit, "training image")
    full = find_preset(preset_for(published.data)).full_epochs
    if selected.variants and workload.epochs != full:
        drops = drops_of(workload)
        after = f"epoch{'' if len(drops) == 1 else 's'} {', '.join(map(str, drops))}"
        rate = f"drops after {after}" if drops else "never drops"
        yield f"{count_text(workload.epochs, 'epoch')} instead of {full} (the rate {rate})"


def _of_selection(
    published: Experiment, selected: Experiment, request: ReproduceRequest
) -> Iterator[str]:
    if selected.pairs != published.pairs:
        ellipsis = " …" if len(published.pairs) > 2 else ""
        yield (
            f"{'; '.join(map(str, selected.pairs))} instead of "
            f"{'; '.join(map(str, published.pairs[:2]))}{ellipsis}"
        )
    if not selected.variants:
        return
    if len(selected.variants) < len(published.variants):
        yield f"{len(selected.variants)} of {len(published.variants)} settings"
    seeds = request.seeds or 0
    if seeds < published.seeds:
        yield f"{count_text(seeds, 'seed')} instead of {published.seeds}"


def _of_hyperparameters(
    selected: Experiment, request: ReproduceRequest, workload: Workload
) -> Iterator[str]:
    changed = dict(request.set)
    for method in dict.fromkeys(variant.method for variant in selected.variants):
        for name, value in preset_pins(workload.preset, method).items():
            changed.setdefault(name, value)
    for name, value in changed.items():
        yield f"{name} = {value}"


def _of_options(request: ReproduceRequest) -> Iterator[str]:
    for option in OPTIONS:
        value = getattr(request, option)
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            yield f"{option} = {', '.join(map(text_of, values))}"
