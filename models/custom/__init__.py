"""Networks that the user brings: a Python file's, torchvision's, timm's."""
