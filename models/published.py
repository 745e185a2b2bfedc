"""Weights that torchvision publishes, by name: torchvision:resnet34@IMAGENET1K_V1."""

import re
from http.client import HTTPException
from typing import Any

from torch import hub, nn

from models.checkpoint import CheckpointError, load_weights
from models.errors import UnknownModel, suggestion
from models.own_name import TORCHVISION, is_own, parse

FORM = re.compile(r"[A-Z][A-Z0-9_]*_V\d+")  # how torchvision names them


def is_published(network: str, checkpoint: str) -> bool:
    """Whether `checkpoint`, behind a network's canonical name, is no file but such a name.

    Raises UnknownModel where it is the name of none.
    """
    if not is_own(network) or not FORM.fullmatch(checkpoint):
        return False
    own = parse(network)
    if own.source != TORCHVISION:
        return False
    known = _weights_of(own.builder).__members__
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
    published: Any = _weights_of(parse(network).builder)[weights]
    where = f"{network}@{weights}"
    try:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    # RuntimeError: torch's word for a download that is not the file, or a file that is damaged.
    except (OSError, HTTPException, RuntimeError) as error:
        raise CheckpointError(
            f"{where}: could not be downloaded ({error}); put "
            f"{published.url.rpartition('/')[2]} into {hub.get_dir()}/checkpoints"
        ) from error
    return load_weights(state, where, network, num_classes)


def _weights_of(builder: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(builder)
