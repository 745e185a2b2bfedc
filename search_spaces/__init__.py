"""Search spaces: one file per method, by name in `SPACES`, or a file of the user's by path."""

from pathlib import Path

from search_spaces import (
    ab,
    at,
    cc,
    crcd,
    crd,
    dist,
    dkd,
    fitnet,
    fsp,
    ft,
    hsakd,
    itrd,
    kd,
    mimkd,
    nst,
    pkt,
    reviewkd,
    rkd,
    sp,
    vid,
    wcord,
)
from search_spaces.space import Choice, Epochs, Fixed, Float, Int, Setting, Space, SpaceError
from search_spaces.space_file import read_space_file
from search_spaces.wording import suggestion

SPACES = {
    space.method: space
    for space in (
        ab.SPACE,
        at.SPACE,
        cc.SPACE,
        crcd.SPACE,
        crd.SPACE,
        dist.SPACE,
        dkd.SPACE,
        fitnet.SPACE,
        fsp.SPACE,
        ft.SPACE,
        hsakd.SPACE,
        itrd.SPACE,
        kd.SPACE,
        mimkd.SPACE,
        nst.SPACE,
        pkt.SPACE,
        reviewkd.SPACE,
        rkd.SPACE,
        sp.SPACE,
        vid.SPACE,
        wcord.SPACE,
    )
}

__all__ = [
    "SPACES",
    "Choice",
    "Epochs",
    "Fixed",
    "Float",
    "Int",
    "Setting",
    "Space",
    "SpaceError",
    "load_space",
]


def load_space(name_or_path: str) -> Space:
    """The space of that name, or the SPACE of a Python file (any name with a / or .py).

    Raises SpaceError for an unknown name or an unusable file. The caller checks whether its
    method exists.
    """
    if name_or_path in SPACES:
        return SPACES[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.suffix == ".py" or len(path.parts) > 1:
        return read_space_file(path)
    raise SpaceError(
        f"unknown space {name_or_path!r}{suggestion(name_or_path, SPACES)}"
        f" known: {', '.join(SPACES)}; or give the path of a .py file"
    )
