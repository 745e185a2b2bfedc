"""Names of networks that are not in the table: a person's own, torchvision's and timm's.

    FILE.py:FUNCTION    package.module:FUNCTION    torchvision:NAME    timm:NAME

each with #LAYER,LAYER,... behind it where the feature maps are chosen by the names of layers.
"""

import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import NamedTuple

from models.custom.source_file import source_digest
from models.errors import UnknownModel
from search_spaces.wording import suggestion

TORCHVISION, TIMM = "torchvision", "timm"
FORM = re.compile(r"(?P<source>.+\.py|[A-Za-z_][\w.]*):(?P<builder>[\w.-]+)(#(?P<layers>.*))?")


class CustomName(NamedTuple):
    """A name in its parts."""

    source: str  # a file, a module, "torchvision" or "timm"
    builder: str  # the function in it, or the library's name of the network
    layers: tuple[str, ...]  # none: chosen by the network's outputs

    @property
    def spec(self) -> str:
        """What is built, whatever its feature maps are."""
        return f"{self.source}:{self.builder}"

    @property
    def is_file(self) -> bool:
        return self.source.endswith(".py")

    def __str__(self) -> str:
        return f"{self.spec}#{','.join(self.layers)}" if self.layers else self.spec


def is_own(name: str) -> bool:
    """Whether a name can only be meant as one of these: the table's have no such signs."""
    return any(sign in name for sign in ":#/") or name.endswith(".py")


def parse(name: str) -> CustomName:
    """Raises UnknownModel where the form is another."""
    match = FORM.fullmatch(name)
    if match is None:
        raise UnknownModel(
            f"{name!r} is no network; write FILE.py:FUNCTION, package.module:FUNCTION, "
            "torchvision:NAME or timm:NAME, with #LAYER,LAYER behind it to choose its feature "
            "maps (a checkpoint comes after the network: NETWORK@FILE)"
        )
    layers = (layer.strip() for layer in (match["layers"] or "").split(","))
    return CustomName(match["source"], match["builder"], tuple(filter(None, layers)))


def canonical_own(name: str) -> str:
    """The same name wherever it is read: a file by its absolute path. Raises UnknownModel.

    A module in the working folder is a file too, since other processes work elsewhere.
    """
    own = parse(name)
    if own.source in (TORCHVISION, TIMM):
        return str(own._replace(builder=_listed(own)))
    path = Path(own.source).expanduser() if own.is_file else _module_here(own.source)
    return str(own if path is None else own._replace(source=_checked(path)))


def identity(name: str) -> str:
    """What determines a network's outputs beside its weights; `name` is canonical.

    The name itself, but for a file: its name and a hash of what it says, wherever it is.
    """
    if not is_own(name):
        return name
    own = parse(name)
    path = source_file(own)
    if path is None:
        return name
    return f"{own._replace(source=path.name)} ({source_digest(path)[:16]})"


def without_layers(name: str) -> str:
    """The same network, whichever its feature maps are."""
    return parse(name).spec if is_own(name) else name


def short_name(name: str) -> str:
    """Letters, digits, "_" and "-" only, for the names of files and the like; not unique."""
    if not is_own(name):
        return name
    own = parse(name)
    source = Path(own.source).stem if own.is_file else own.source
    return re.sub(r"[^\w-]", "-", f"{source}-{own.builder}")


def source_file(own: CustomName) -> Path | None:
    """The file that a person's function is in; None if there is none, and for a library's."""
    if own.source in (TORCHVISION, TIMM):
        return None
    if own.is_file:
        return Path(own.source)
    try:
        spec = importlib.util.find_spec(own.source)
    except ImportError:
        return None
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _listed(own: CustomName) -> str:
    """The library's own spelling of the network. Raises UnknownModel if it has none."""
    if own.source == TORCHVISION:
        from torchvision import models as torchvision_models

        listed = torchvision_models.list_models(module=torchvision_models)
        plain = own.builder.lower().replace("-", "_")
        if plain in listed:
            return plain
    else:
        try:
            timm = importlib.import_module(TIMM)
        except ImportError:
            raise UnknownModel(
                f"{own.spec} needs timm, which is not installed; run pip install timm"
            ) from None
        if timm.is_model(own.builder):
            return own.builder
        listed = timm.list_models()
    raise UnknownModel(
        f"{own.source} has no network {own.builder!r} that classifies images"
        f"{suggestion(own.builder, listed)} see its documentation for the names"
    )


def _module_here(module: str) -> Path | None:
    """The file of a module in the working folder, where `python -m` would look first."""
    path = Path.cwd().joinpath(*module.split("."))
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _checked(path: Path) -> str:
    """The absolute path of a person's file."""
    # Not resolved: a link is another file on another machine, perhaps.
    path = Path(os.path.abspath(path))
    if not path.is_file():
        raise UnknownModel(
            f"{path}: there is no such file; check the path (every machine needs the file)"
        )
    if "@" in str(path):
        raise UnknownModel(
            f"{path}: after @ a checkpoint is expected; put the file where no folder has an @"
        )
    return str(path)
