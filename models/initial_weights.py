"""Initial weights of the CRD framework's networks, where they differ from PyTorch's defaults."""

from torch import nn


def he_normal_(model: nn.Module) -> None:
    """Draws all convolutions of `model` from N(0, 2 / fan_out) and zeroes their biases.

    Source: "Delving Deep into Rectifiers", arXiv:1502.01852, equation 14. fan_out is
    kernel height * kernel width * output channels, also for depthwise convolutions.
    """
    for module in model.modules():
        # Drawing meta weights, which have no values, would import a compiler.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def small_normal_(classifier: nn.Linear) -> None:
    """Draws the classifier's weights from N(0, 0.01**2) and zeroes its bias."""
    if not classifier.weight.is_meta:
        nn.init.normal_(classifier.weight, std=0.01)
        nn.init.zeros_(classifier.bias)
