"""Custom networks: from the user's own Python files, torchvision and timm."""
