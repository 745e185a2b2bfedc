"""The whole setting of a variant, and the names of its trainings."""

import re
from collections.abc import Mapping

from search_spaces import Setting, load_space, plain
from tuner.config.presets import preset_pins
from tuner.config.workload import Workload
from tuner.reproductions.experiment import Variant


def setting_of(
    variant: Variant,
    workload: Workload,
    pins: Mapping[str, str],
    pair_setting: Mapping[str, str] | None = None,
) -> Setting:
    """Every hyperparameter of a variant. Raises SpaceError for an invalid value.

    The variant's own values win over `--set` (`pins`), that over the preset, that over what is
    published for the pair, and that over the method's published setting.
    """
    method = variant.method
    space = plain.SPACE if method == "plain" else load_space(method)
    space = space.for_epochs(workload.epochs)
    given = {
        **(pair_setting or {}),
        **preset_pins(workload.preset, method),
        **space.own_pins(pins),
    }
    given = {name: value for name, value in given.items() if name not in variant.values}
    return space.narrow(given).complete(variant.values)


def training_name(variant: Variant, number: int) -> str:
    """The name of a variant's training with the seed of this number, valid as a file's."""
    label = re.sub(r"\s*=\s*", "=", variant.label).replace(", ", "_").replace(" ", "-")
    file_name = re.sub(r"[^\w.=-]", "_", label)
    return f"{file_name}-{number}"
