"""How long what is left will take, from the pace so far, and in words."""

import time

LINES = 10  # of progress, where there is no terminal
QUIET_SECONDS = 5.0  # what takes less needs none

MINUTE, HOUR, DAY = 60, 3600, 86400


def seconds_left(seconds: float, done: float, left: float) -> float | None:
    """For what is `left`, after `seconds` for what is `done`; None where nothing is."""
    return max(0.0, left) * seconds / done if done > 0 else None


def left_text(seconds: float | None) -> str:
    """Such as "about 12 min left", no finer than a guess is; "" for None, and at the end."""
    return f"about {_about(seconds)} left" if seconds else ""


def _about(seconds: float) -> str:
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < MINUTE - 2.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < HOUR - MINUTE / 2:
        return f"{round(seconds / MINUTE)} min"
    if seconds < DAY:
        minutes = 5 * round(seconds / MINUTE / 5)
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / HOUR)
    return f"{hours // 24} d {hours % 24} h"


class Milestones:
    """Says when a line of progress is due: at each tenth, and not in the first seconds."""

    def __init__(self) -> None:
        self._began, self._told = time.monotonic(), 0

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def is_due(self, done: int, total: int) -> bool:
        """Whether to tell that so much of the total is done; once for each tenth."""
        reached = LINES * done // max(1, total)
        if self.seconds < QUIET_SECONDS or reached <= self._told:
            return False
        self._told = reached
        return True
