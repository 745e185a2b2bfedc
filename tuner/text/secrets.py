"""Passwords and tokens that addresses hold are used, but neither shown nor written."""

import re
from urllib.parse import quote

HIDDEN = "***"
# To the last @ before a space: a password may hold any of : / @ itself, and a token a slash.
_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s\"'<>]*@")
_TOKEN = re.compile(r"(https?://)[^\s\"'<>:@]+@", re.IGNORECASE)
SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|sig|auth|credential", re.IGNORECASE)
_OPTION = re.compile(
    rf"([?&][\w-]*(?:{SECRET_NAME.pattern})[\w-]*=)[^\s&\"'<>]+", SECRET_NAME.flags
)


def without_secrets(text: str) -> str:
    """The text with *** instead of the secrets of every URI in it."""
    text = _PASSWORD.sub(rf"\1{HIDDEN}@", text)
    text = _TOKEN.sub(rf"\1{HIDDEN}@", text)
    return _OPTION.sub(rf"\1{HIDDEN}", text)


def shown(uri: str) -> str:
    """The same of a text that is one URI: a space or a quote in it does not end a secret."""
    encoded = re.sub(r"[\s\"'<>]", lambda sign: quote(sign[0]), uri)
    hidden = without_secrets(encoded)
    return uri if hidden == encoded else hidden


def has_secret(uri: str) -> bool:
    """Whether a text that is one URI holds a secret."""
    return shown(uri) != uri
