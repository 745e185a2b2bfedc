"""Initial weights of the CRD framework's networks, where they differ from PyTorch's own."""

from torch import nn


def he_normal_(model: nn.Module) -> None:
    """Draws every convolution of `model` from N(0, 2 / fan_out); their biases become zero.

    Source: "Delving Deep into Rectifiers", arXiv:1502.01852, equation 14. fan_out is
    kernel height * kernel width * output channels, for depthwise convolutions too.
    """
    for module in model.modules():
        # Weights without memory have no values; drawing them would import a compiler.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def small_normal_(classifier: nn.Linear) -> None:
    """Draws the classifier's weights from N(0, 0.01**2); its bias becomes zero."""
    if not classifier.weight.is_meta:
        nn.init.normal_(classifier.weight, std=0.01)
        nn.init.zeros_(classifier.bias)
