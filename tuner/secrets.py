"""Passwords and tokens that addresses hold are used, but neither shown nor written."""

import re

HIDDEN = "***"
# To the last @ before a space: a password may hold any of : / @ itself.
_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s\"'<>]*@")
_TOKEN = re.compile(r"(https?://)[^\s:/@]+@")
_OPTION = re.compile(r"([?&]\w*(?:password|secret|token|key)\w*=)[^\s&\"'<>]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with *** instead of the secrets of every URI in it."""
    text = _PASSWORD.sub(rf"\1{HIDDEN}@", text)
    text = _TOKEN.sub(rf"\1{HIDDEN}@", text)
    return _OPTION.sub(rf"\1{HIDDEN}", text)
