"""Names of custom networks: from the user's own Python files, torchvision and timm.

    FILE.py:FUNCTION    package.module:FUNCTION    torchvision:NAME    timm:NAME

#LAYER,LAYER,... after the name chooses the layers whose outputs are the feature maps.
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
    """The parts of a custom network's name."""

    source: str  # a file, a module, "torchvision" or "timm"
    builder: str  # the function in it, or the library's name for the network
    layers: tuple[str, ...]  # of the feature maps; empty: chosen automatically

    @property
    def spec(self) -> str:
        """What is built, without the layers of its feature maps."""
        return f"{self.source}:{self.builder}"

    @property
    def is_file(self) -> bool:
        return self.source.endswith(".py")

    def __str__(self) -> str:
        return f"{self.spec}#{','.join(self.layers)}" if self.layers else self.spec


def is_custom(name: str) -> bool:
    """Whether a name can only be a custom network's: built-in names have no such characters."""
    return any(sign in name for sign in ":#/") or name.endswith(".py")


def parse(name: str) -> CustomName:
    """The parts of a custom network's name. Raises UnknownModel if it has another form."""
    match = FORM.fullmatch(name)
    if match is None:
        raise UnknownModel(
            f"{name!r} is not a network; write FILE.py:FUNCTION, package.module:FUNCTION, "
            "torchvision:NAME or timm:NAME, followed by #LAYER,LAYER to choose its feature "
            "maps (and by @FILE for a checkpoint)"
        )
    layers = (layer.strip() for layer in (match["layers"] or "").split(","))
    return CustomName(match["source"], match["builder"], tuple(filter(None, layers)))


def canonical_custom_name(name: str) -> str:
    """The name by which every process finds the same network: files by their absolute path.

    A module in the working folder becomes a file too, because other processes have other
    working folders. Raises UnknownModel if the network does not exist.
    """
    custom = parse(name)
    if custom.source in (TORCHVISION, TIMM):
        return str(custom._replace(builder=_listed(custom)))
    path = Path(custom.source).expanduser() if custom.is_file else _module_here(custom.source)
    return str(custom if path is None else custom._replace(source=_checked(path)))


def identity(name: str) -> str:
    """What determines a network's outputs besides its weights; `name` is canonical.

    That is the name, or for a file its base name and a hash of its code, wherever it lies.
    """
    if not is_custom(name):
        return name
    custom = parse(name)
    path = file_of(custom)
    if path is None:
        return name
    return f"{custom._replace(source=path.name)} ({source_digest(path)[:16]})"


def without_layers(name: str) -> str:
    """The name of the same network without the layers of its feature maps."""
    return parse(name).spec if is_custom(name) else name


def short_name(name: str) -> str:
    """A name of letters, digits, "_" and "-", for file names and the like; not unique."""
    if not is_custom(name):
        return name
    custom = parse(name)
    source = Path(custom.source).stem if custom.is_file else custom.source
    return re.sub(r"[^\w-]", "-", f"{source}-{custom.builder}")


def file_of(custom: CustomName) -> Path | None:
    """The Python file of the user's function; None for a library's network, or if it is missing."""
    if custom.source in (TORCHVISION, TIMM):
        return None
    if custom.is_file:
        return Path(custom.source)
    try:
        spec = importlib.util.find_spec(custom.source)
    except ImportError:
        return None
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _listed(custom: CustomName) -> str:
    """The library's own spelling of the network. Raises UnknownModel if it has none."""
    if custom.source == TORCHVISION:
        from torchvision import models as torchvision_models

        listed = torchvision_models.list_models(module=torchvision_models)
        plain = custom.builder.lower().replace("-", "_")
        if plain in listed:
            return plain
    else:
        try:
            timm = importlib.import_module(TIMM)
        except ImportError:
            raise UnknownModel(
                f"{custom.spec} needs timm, which is not installed; run `pip install timm`"
            ) from None
        if timm.is_model(custom.builder):
            return custom.builder
        listed = timm.list_models()
    raise UnknownModel(
        f"{custom.source} has no image classifier {custom.builder!r}"
        f"{suggestion(custom.builder, listed)} see its documentation for the names"
    )


def _module_here(module: str) -> Path | None:
    """The file of a module in the working folder, where `python -m` would look first."""
    path = Path.cwd().joinpath(*module.split("."))
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _checked(path: Path) -> str:
    """The absolute path of the user's file."""
    # Symbolic links stay: on another machine they may point elsewhere.
    path = Path(os.path.abspath(path))
    if not path.is_file():
        raise UnknownModel(f"{path}: no such file; check the path (every machine needs the file)")
    if "@" in str(path):
        raise UnknownModel(
            f"{path}: the path contains an @, which introduces a checkpoint; move the file"
        )
    return str(path)
