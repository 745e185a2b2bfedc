"""The style of all figures: distinguishable with colour blindness, on white, on black, in print.

Figures are drawn inside `drawing`, which leaves matplotlib's global state alone. Text, axes, grid
and background have colours that nothing else uses (INK, FAINT, GRID, PAPER): those of a light page,
which the report replaces by the colours of its reader's scheme.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import matplotlib.style
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

LONGEST = 24  # characters of a name or an option on an axis

# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, YELLOW, GREY = "#cc79a7", "#56b4e9", "#f0e442", "#8c8c8c"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)  # yellow vanishes on white
# Dashes and markers repeat what the colours say.
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLOUR_SCALE = "cividis"  # perceptually uniform, unchanged by colour blindness
# For lines, drawn on the page itself: neither end vanishes on white or on black.
LINE_SCALE = LinearSegmentedColormap.from_list("lines", ["#3e6da8", "#8c8c8c", "#e0a100"])

# Not plain white and black, which stay as they are in every scheme.
INK, FAINT, GRID, PAPER = "#1c2024", "#5b6570", "#d9dde1", "#fffffe"
PIXELS_PER_INCH = 200
LINE_WIDTH = 6.5  # inches; the width of a page's text

_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: figures look the same everywhere
    "font.size": 9,
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "figure.facecolor": PAPER,
    "savefig.dpi": PIXELS_PER_INCH,
    "axes.facecolor": PAPER,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "hatch.color": PAPER,
    "image.cmap": COLOUR_SCALE,
    "errorbar.capsize": 3,
    "svg.fonttype": "path",
    "svg.hashsalt": "tuner",  # the same ids in every run
}


@contextmanager
def style() -> Iterator[None]:
    """Applies the style, whatever the user's matplotlib settings; needed to draw and to save."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


@contextmanager
def drawing(width_inches: float = LINE_WIDTH, height_inches: float = 3.6) -> Iterator[Figure]:
    """A new figure to draw inside the `with`, where lines and legends take their style."""
    with style():
        yield Figure(figsize=(width_inches, height_inches), layout="constrained")


def literal(text: str) -> str:
    """Text from outside, drawn as it is: $ begins no formula, a leading _ hides no legend entry."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def legend_above(axes: Axes, *, handles: Sequence[Artist | Container] | None = None) -> None:
    """Puts the legend above the axes, where it hides nothing; of `handles`, or of all artists."""
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=4,
        borderaxespad=0,
        handlelength=2.4,
        columnspacing=1.6,
    )


def log_scale(axes: Axes, which: Literal["x", "y"]) -> None:
    """Makes an axis that has its data logarithmic, with as many plain numbers as fit."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    num_decades = math.log10(high / low)
    if num_decades > 0.5:
        digits = (1,) if num_decades > 3 else (1, 2, 5) if num_decades > 1 else (1, 2, 3, 5, 7)
        stride = max(1, round(num_decades / 7))
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        places = [digit * 10.0**n for n in powers if n % stride == 0 for digit in digits]
    else:
        places = list(MaxNLocator(5).tick_values(low, high))
    room = 1 + 1e-9  # limits lose precision as logarithms
    shown = [place for place in places if low / room <= place <= high * room]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def short(text: str, longest: int = LONGEST) -> str:
    """A name or an option from outside, cut to what fits on an axis."""
    return literal(text if len(text) <= longest else f"{text[: longest - 1]}…")
