"""Numbers and settings as a person reads them."""

from collections.abc import Mapping
from typing import Any

from search_spaces.parameters import text_of
from tuner.reports.settings import WIDE, Accuracy, Difference

NOTHING = "–"


def value_text(value: Any) -> str:
    """A hyperparameter's value, floats to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else text_of(value)


def setting_text(setting: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value_text(value)}" for name, value in setting.items() if value is not None
    )


def percent_text(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def accuracy_text(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return NOTHING
    spread = "" if accuracy.std is None else f" ± {accuracy.std:.2f}"
    return f"{accuracy.mean:.2f}{spread}"


def difference_text(difference: Difference | None) -> str:
    if difference is None:
        return NOTHING
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.2f} (no interval)"
    if difference.is_wide:
        return f"{difference.mean:+.2f} (more than ± {WIDE:.0f})"
    return f"{difference.mean:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"


def duration_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def count_text(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
