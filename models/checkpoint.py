"""Loads a network's weights from a file as data: nothing in the file is executed.

Accepts the CRD framework's format ({"model": state_dict} beside an epoch, an accuracy or the
parsed arguments), other common ones ({"state_dict": ...}, {"net": ...}) and a bare state dict.
"""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.custom.name import is_custom
from models.registry import MODELS, build, canonical_name

# Plain data that training scripts store beside the weights. The function behind pickled scalars
# has different names in NumPy 1 and 2.
_scalar: Any = np.float64(0).__reduce__()[0]
SAFE_METADATA: list[Any] = [
    argparse.Namespace,
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")),
]

COUNTER = "num_batches_tracked"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one sentence with the remedy."""


def load_checkpoint(path: str | Path, name: str, num_classes: int) -> nn.Module:
    """The network `name` with the weights in the file, on the CPU and in evaluation mode.

    Weights are converted to torch's default dtype. Raises UnknownModel for an unknown name and
    CheckpointError for an unusable file.
    """
    name = canonical_name(name)
    weights = _state_dict(_read(Path(path)), path)
    model = _template(name, num_classes)
    if not _fits(weights, model):
        raise CheckpointError(_misfit(weights, path, name, num_classes))
    if not all(map(_is_plain, weights.values())):
        raise CheckpointError(
            f"{path}: some weights are not plain tensors of real numbers; "
            "write them with torch.save({'model': model.state_dict()}, path)"
        )
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise CheckpointError(
            f"{path}: some weights are nan or infinite; give one from before the divergence"
        )
    counters = {key: torch.tensor(0) for key in model.state_dict() if key.endswith(COUNTER)}
    if not is_custom(name):
        model.to_empty(device="cpu")
    model.load_state_dict(counters | weights)
    return model.eval()


def _read(path: Path) -> object:
    try:
        with path.open("rb") as file:
            first_bytes = file.read(4)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: this is a folder; give the checkpoint file in it") from None
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be opened ({error.strerror}); check its permissions"
        ) from error
    is_zip = zipfile.is_zipfile(path)
    if not first_bytes or (first_bytes.startswith(b"PK") and not is_zip):
        raise CheckpointError(f"{path}: empty or truncated; copy or download it again")
    # torch.save before version 1.6 wrote bare pickles, which start with this byte.
    if not is_zip and not first_bytes.startswith(b"\x80"):
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint; give a file written by torch.save"
        )
    try:
        # torch warns about pickles that it then reads or refuses.
        with warnings.catch_warnings(), torch.serialization.safe_globals(SAFE_METADATA):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_unpickling_message(path, str(error))) from error
    except Exception as error:
        # Damaged bytes can raise nearly any exception; all mean the same.
        raise CheckpointError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return (
        f"{path}: damaged, or not a PyTorch checkpoint; "
        "copy it again, or give a file written by torch.save"
    )


def _unpickling_message(path: Path, message: str) -> str:
    code = re.search(r"GLOBAL ([A-Za-z_][\w.]*\.\w+)", message)
    if code is None:
        return _damaged(path)
    return (
        f"{path}: contains pickled code ({code[1]}), which is never run; "
        "save only the weights in the program that wrote it: "
        "torch.save({'model': model.state_dict()}, path)"
    )


def _state_dict(content: object, path: str | Path) -> dict[str, Tensor]:
    """The weights in the file's content, without the prefix of a wrapper."""
    if isinstance(content, Mapping):
        for key in ("model", "state_dict", "net"):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(key, str) for key in content)
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise CheckpointError(
            f"{path}: contains no state dict; "
            "write one with torch.save({'model': model.state_dict()}, path)"
        )
    weights = dict(content)
    # The prefixes of torch.compile and DataParallel, in either order.
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):
        if all(key.startswith(prefix) for key in weights):
            weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def _misfit(weights: dict[str, Tensor], path: str | Path, name: str, num_classes: int) -> str:
    """Why the weights do not fit: a different number of classes, or another network."""
    classes = _classes_if_it_fits(weights, name, num_classes)
    if classes is not None:
        return (
            f"{path}: the checkpoint has {classes} classes, the data has {num_classes}; "
            f"give a {name} trained on this data"
        )
    message = f"{path}: does not fit {name} ({_differences(weights, name, num_classes)})"
    for other in MODELS:
        classes = _classes_if_it_fits(weights, other, num_classes)
        if classes == num_classes:
            return f"{message}; it fits {other}; pass --teacher {other}@{path}"
        if classes is not None:
            return (
                f"{message}; it fits {other} but has {classes} classes, the data has "
                f"{num_classes}; give a teacher trained on this data"
            )
    return f"{message} nor any other known network; name the network it was saved from"


def _classes_if_it_fits(weights: dict[str, Tensor], name: str, num_classes: int) -> int | None:
    """The number of classes with which network `name` has exactly these weights, or None."""
    template = _template(name, num_classes)
    if _fits(weights, template):
        return num_classes
    found, expected = _shapes(weights), _shapes(template.state_dict())
    # The number of classes is the first dimension of all weights that depend on it.
    numbers = {found[key][:1] for key in expected if found.get(key, expected[key]) != expected[key]}
    if len(numbers) != 1 or numbers == {()}:
        return None
    ((classes,),) = numbers
    return classes if classes and _fits(weights, _template(name, classes)) else None


def _template(name: str, num_classes: int) -> nn.Module:
    """A network to compare weights with and load them into; leaves the random state as it is.

    A built-in network has no memory yet. A custom one has, because its constants may be missing
    from the state dict.
    """
    if is_custom(name):
        with torch.random.fork_rng():
            return build(name, num_classes)
    with torch.device("meta"):
        return build(name, num_classes)


def _fits(weights: dict[str, Tensor], model: nn.Module) -> bool:
    expected = _shapes(model.state_dict())
    # Files older than PyTorch 0.4.1 lack these counters; only momentum=None would use them.
    counters = {key: shape for key, shape in expected.items() if key.endswith(COUNTER)}
    return counters | _shapes(weights) == expected


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor is dense, has memory, and holds real numbers."""
    is_dense = value.layout == torch.strided and not value.is_meta
    return is_dense and not value.is_complex() and not value.is_quantized


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in weights.items()}


def _differences(weights: dict[str, Tensor], name: str, num_classes: int) -> str:
    found = _shapes(weights)
    expected = _shapes(_template(name, num_classes).state_dict())
    missing = [key for key in expected if key not in found and not key.endswith(COUNTER)]
    unexpected = [key for key in found if key not in expected]
    reshaped = [key for key in expected if key in found and found[key] != expected[key]]
    parts = []
    if missing:
        parts.append(f"missing {_brief(missing)}")
    if unexpected:
        parts.append(f"unexpected {_brief(unexpected)}")
    if reshaped:
        key = reshaped[0]
        parts.append(f"{key} is {list(found[key])}, not {list(expected[key])}")
    return ", ".join(parts)


def _brief(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"
