"""Pretrained weights from torchvision, by name: torchvision:resnet34@IMAGENET1K_V1."""

import re
from http.client import HTTPException
from pathlib import Path
from typing import Any

from torch import hub, nn

from models.checkpoint import CheckpointError, load_checkpoint
from models.custom.name import TORCHVISION, is_custom, parse
from models.errors import UnknownModel
from search_spaces.wording import suggestion

FORM = re.compile(r"[A-Z][A-Z0-9_]*_V\d+")  # of torchvision's names
DIGEST = re.compile(r"-([0-9a-f]{8,})\.")  # the start of the SHA-256, in the file name


def is_pretrained(network: str, checkpoint: str) -> bool:
    """Whether `checkpoint` names pretrained weights of `network` (canonical), and no file.

    Raises UnknownModel if it looks like such a name but is unknown.
    """
    if not is_custom(network) or not FORM.fullmatch(checkpoint):
        return False
    custom = parse(network)
    if custom.source != TORCHVISION:
        return False
    known = [weights.name for weights in _weights_of(custom.builder)]
    if checkpoint not in known:
        raise UnknownModel(
            f"{custom.spec} has no pretrained weights {checkpoint!r}"
            f"{suggestion(checkpoint, known)} known: {', '.join(known)}"
        )
    return True


def load_pretrained(network: str, weights: str, num_classes: int) -> nn.Module:
    """The network with these pretrained weights, on the CPU and in evaluation mode.

    Downloads them into TORCH_HOME if they are not there yet. Raises CheckpointError if that
    fails, or if they do not fit.
    """
    url = _weights_of(parse(network).builder)[weights].url
    path = Path(hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.exists():
        digest = DIGEST.search(path.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            hub.download_url_to_file(url, str(path), digest and digest[1], progress=False)
        # torch raises RuntimeError if the download has another hash.
        except (OSError, HTTPException, RuntimeError) as error:
            raise CheckpointError(
                f"{network}@{weights}: download failed ({error}); put {path.name} into "
                f"{path.parent}"
            ) from error
    return load_checkpoint(path, network, num_classes)


def _weights_of(builder: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(builder)
