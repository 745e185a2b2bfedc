"""Redacts passwords and tokens in URIs, so that they are neither printed nor written to files."""

import re
from urllib.parse import quote

HIDDEN = "***"
# Up to the last @ before a space: a password may itself contain : / @, and a token a slash.
_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s\"'<>]*@")
_TOKEN = re.compile(r"(https?://)[^\s\"'<>:@]+@", re.IGNORECASE)
SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|sig|auth|credential", re.IGNORECASE)
_OPTION = re.compile(
    rf"([?&][\w-]*(?:{SECRET_NAME.pattern})[\w-]*=)[^\s&\"'<>]+", SECRET_NAME.flags
)


def without_secrets(text: str) -> str:
    """The text with *** for the secrets of every URI in it."""
    text = _PASSWORD.sub(rf"\1{HIDDEN}@", text)
    text = _TOKEN.sub(rf"\1{HIDDEN}@", text)
    return _OPTION.sub(rf"\1{HIDDEN}", text)


def shown(uri: str) -> str:
    """One URI with *** for its secrets, which may contain spaces and quotes."""
    encoded = re.sub(r"[\s\"'<>]", lambda sign: quote(sign[0]), uri)
    hidden = without_secrets(encoded)
    return uri if hidden == encoded else hidden


def has_secret(uri: str) -> bool:
    """Whether a URI contains a secret."""
    return shown(uri) != uri
