"""Weights that torchvision publishes, by name: torchvision:resnet34@IMAGENET1K_V1."""

import re
from http.client import HTTPException
from pathlib import Path
from typing import Any

from torch import hub, nn

from models.checkpoint import CheckpointError, load_checkpoint
from models.custom.name import TORCHVISION, is_own, parse
from models.errors import UnknownModel
from search_spaces.wording import suggestion

FORM = re.compile(r"[A-Z][A-Z0-9_]*_V\d+")  # how torchvision names them
DIGEST = re.compile(r"-([0-9a-f]{8,})\.")  # in the name of a file: how its SHA-256 begins


def is_published(network: str, checkpoint: str) -> bool:
    """Whether `checkpoint`, behind a network's canonical name, is no file but such a name.

    Raises UnknownModel where it is the name of none.
    """
    if not is_own(network) or not FORM.fullmatch(checkpoint):
        return False
    own = parse(network)
    if own.source != TORCHVISION:
        return False
    known = [weights.name for weights in _weights_of(own.builder)]
    if checkpoint not in known:
        raise UnknownModel(
            f"{own.spec} has no published weights {checkpoint!r}{suggestion(checkpoint, known)} "
            f"known: {', '.join(known)}"
        )
    return True


def load_published(network: str, weights: str, num_classes: int) -> nn.Module:
    """The network with those weights, on the CPU and in evaluation mode.

    They are downloaded into TORCH_HOME where they are not there yet. Raises CheckpointError.
    """
    url = _weights_of(parse(network).builder)[weights].url
    path = Path(hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.exists():
        digest = DIGEST.search(path.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            hub.download_url_to_file(url, str(path), digest and digest[1], progress=False)
        # RuntimeError: torch's word for a download that is not the file.
        except (OSError, HTTPException, RuntimeError) as error:
            raise CheckpointError(
                f"{network}@{weights}: could not be downloaded ({error}); put {path.name} into "
                f"{path.parent}"
            ) from error
    return load_checkpoint(path, network, num_classes)


def _weights_of(builder: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(builder)
