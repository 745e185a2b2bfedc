"""The table of networks by name, and the other spellings of those names.

It is not in `__init__.py` because `models.checkpoint` needs it too.
"""

import re
from collections.abc import Callable

import torch

from models.conv4 import conv4, conv4_mp
from models.custom.build import build_custom
from models.custom.name import canonical_custom_name, is_custom
from models.errors import UnknownModel
from models.mobilenet import MobileNetV2
from models.network import Network
from models.resnet import (
    resnet8,
    resnet8x4,
    resnet14,
    resnet20,
    resnet32,
    resnet32x4,
    resnet44,
    resnet56,
    resnet110,
)
from models.resnet_imagenet import ResNet18, ResNet34, ResNet50
from models.shufflenet_v1 import ShuffleV1
from models.shufflenet_v2 import ShuffleV2
from models.vgg import vgg8, vgg11, vgg13, vgg16, vgg19
from models.wrn import wrn, wrn_16_1, wrn_16_2, wrn_40_1, wrn_40_2
from search_spaces.wording import nearest

MODELS: dict[str, Callable[[int], Network]] = {
    "resnet8": resnet8,
    "resnet14": resnet14,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet44": resnet44,
    "resnet56": resnet56,
    "resnet110": resnet110,
    "resnet8x4": resnet8x4,
    "resnet32x4": resnet32x4,
    "ResNet18": ResNet18,
    "ResNet34": ResNet34,
    "ResNet50": ResNet50,
    "wrn_16_1": wrn_16_1,
    "wrn_16_2": wrn_16_2,
    "wrn_40_1": wrn_40_1,
    "wrn_40_2": wrn_40_2,
    "vgg8": vgg8,
    "vgg11": vgg11,
    "vgg13": vgg13,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "MobileNetV2": MobileNetV2,
    "ShuffleV1": ShuffleV1,
    "ShuffleV2": ShuffleV2,
    "conv4": conv4,
    "conv4_mp": conv4_mp,
}

# ShuffleNetV1 is the papers' name, mobile_half the framework's older one.
ALIASES = {"shufflenetv1": "ShuffleV1", "shufflenetv2": "ShuffleV2", "mobilehalf": "MobileNetV2"}

WRN_NAME = re.compile(r"wrn[-_ ]?([0-9]{1,4})[-_ x]([0-9]{1,4})", re.IGNORECASE)


def build(name: str, num_classes: int) -> Network:
    """Builds a network by any accepted name, with fresh weights from torch's generator.

    Raises UnknownModel if there is none.
    """
    name = canonical_name(name)
    if name in MODELS:
        return MODELS[name](num_classes)
    if is_custom(name):
        return build_custom(name, num_classes)
    depth, width = _wrn_size(name)
    return wrn(depth, width, num_classes)


def build_untrained(name: str, num_classes: int) -> Network:
    """A network with arbitrary weights, for measuring shapes and speeds.

    Leaves torch's random state as it is. Raises UnknownModel if there is no such network.
    """
    name = canonical_name(name)
    if is_custom(name):
        with torch.random.fork_rng():
            return build_custom(name, num_classes).eval().requires_grad_(False)
    with torch.device("meta"):
        network = build(name, num_classes)
    network.to_empty(device="cpu")
    for value in network.state_dict().values():
        value.fill_(0.5)  # memory may hold denormal numbers, which are slow
    return network.eval().requires_grad_(False)


def canonical_name(name: str) -> str:
    """The name in `MODELS` that `name` means, or wrn_<depth>_<width>.

    Case, "-", "_" and spaces are ignored as long as only one network can be meant. Custom
    networks get the name that `models.custom.name` gives them. Raises UnknownModel if no
    network, or more than one, can be meant.
    """
    if name in MODELS:
        return name
    if is_custom(name):
        return canonical_custom_name(name)
    if WRN_NAME.fullmatch(name):
        depth, width = _wrn_size(name)
        if depth < 10 or (depth - 4) % 6 or width < 1:
            raise UnknownModel(
                f"unknown model {name!r}; a WRN has a depth of 6n+4 (10, 16, 22, 28, 34, 40, ...) "
                f"and a width of at least 1, for example wrn_28_10"
            )
        return f"wrn_{depth}_{width}"
    plain = _plain(name)
    matches = [known for known in MODELS if _plain(known) == plain and "wrn" not in known]
    if plain in ALIASES:
        matches.append(ALIASES[plain])
    if len(matches) == 1:
        return matches[0]
    raise UnknownModel(_unknown(name, matches))


def _wrn_size(name: str) -> tuple[int, int]:
    match = WRN_NAME.fullmatch(name)
    assert match is not None
    return int(match[1]), int(match[2])


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def _unknown(name: str, matches: list[str]) -> str:
    by_plain_name = {_plain(known): known for known in MODELS} | ALIASES
    if not matches:
        close = nearest(_plain(name), by_plain_name)
        matches = [by_plain_name[close]] if close else []
    suggestion = f"did you mean {' or '.join(map(repr, matches))}? " if matches else ""
    return (
        f"unknown model {name!r}; {suggestion}known: {', '.join(MODELS)}, "
        "wrn_<depth>_<width>; or FILE.py:FUNCTION, torchvision:NAME, timm:NAME"
    )
