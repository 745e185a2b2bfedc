"""The hyperparameters that all methods share: those of cross-entropy and of KD's term."""

from search_spaces.parameters import Fixed

# The CRD framework's (arXiv:1910.10699); KD's paper uses 2.5 to 4 for small students.
TEMPERATURE = 4.0


def common(
    *,
    ce_weight: float = 1.0,
    kd_weight: float = 0.0,
    ce_weight_grid: tuple[float, ...] | None = None,
    kd_weight_grid: tuple[float, ...] | None = None,
) -> tuple[Fixed, Fixed, Fixed]:
    """The shared hyperparameters, fixed at published values; `--set kd_weight=0:2` searches one."""
    return (
        Fixed("ce_weight", ce_weight, grid=ce_weight_grid),
        Fixed("kd_weight", kd_weight, grid=kd_weight_grid),
        Fixed("temperature", TEMPERATURE),
    )
