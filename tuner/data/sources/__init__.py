"""Data sources by spec: `digits`, `cifar10`, `cifar100`, `parquet:DIR`, ..."""

from collections.abc import Callable
from pathlib import Path

from search_spaces.wording import suggestion
from tuner.data.sources.cifar import Cifar
from tuner.data.sources.digits import Digits
from tuner.data.sources.image_folder import ImageFolder
from tuner.data.sources.imagenet import ImageNet
from tuner.data.sources.parquet import ParquetFolder
from tuner.data.sources.raw_data import RawData, Source
from tuner.data.sources.stl10 import Stl10
from tuner.data.sources.tiny_imagenet import TinyImageNet
from tuner.text.errors import RequestError

NAMED_SOURCES = ("cifar10", "cifar100", "digits")
FOLDER_SOURCES: dict[str, Callable[[Path], Source]] = {
    "imagefolder": ImageFolder,
    "imagenet": ImageNet,
    "parquet": ParquetFolder,
    "stl10": Stl10,
    "tinyimagenet": TinyImageNet,
}


def find_source(spec: str, data_dir: Path) -> Source:
    """The source that a spec names. Raises RequestError if it is unknown, or its folder missing."""
    kind, colon, folder = spec.partition(":")
    if kind in FOLDER_SOURCES:
        if not folder:
            raise RequestError(f"data '{spec}' names no folder; write {kind}:DIR")
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise RequestError(f"{path}: no such folder; {kind}:DIR needs a folder that exists")
        return FOLDER_SOURCES[kind](path)
    if kind in NAMED_SOURCES:
        if colon:
            raise RequestError(f"data '{spec}': {kind} takes no folder; write {kind}")
        return Digits() if kind == "digits" else Cifar(kind, data_dir / "downloads")
    raise RequestError(_unknown(spec, kind))


def _unknown(spec: str, kind: str) -> str:
    known = [*NAMED_SOURCES, *(f"{name}:DIR" for name in FOLDER_SOURCES)]
    if spec and Path(spec).expanduser().is_dir():
        hint = f"; for a folder write imagefolder:{spec} or parquet:{spec};"
    else:
        hint = suggestion(kind, [*NAMED_SOURCES, *FOLDER_SOURCES])
    return f"unknown data '{spec}'{hint} known: {', '.join(known)}"


__all__ = ["FOLDER_SOURCES", "NAMED_SOURCES", "RawData", "Source", "find_source"]
