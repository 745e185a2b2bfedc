"""Reads YAML files of options as data; an error names the file and the line."""

import os
import re
import reprlib
import unicodedata
from typing import Any

import yaml

from search_spaces.wording import error_text
from tuner.text.errors import RequestError

# Part of a value that starts with a home folder, such as ~ or ~name.
_HOME = re.compile(r"(?:^|[=:@,])(~[^/=:@,]*)")
# For values in messages: a few lines of YAML can unfold to gigabytes.
SHORT = reprlib.Repr()
SHORT.maxstring, SHORT.maxlevel = 200, 2


def read_yaml(path: str) -> dict[str, Any]:
    """The mapping in a YAML file, given by path or URI. Raises RequestError."""
    from tuner.storage.folder import read_file

    try:
        text = read_file(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{path}: cannot be read ({reason}); check the path") from error
    content = parse_yaml(path, text)
    for name, value in content.items():
        pins = value.values() if name == "set" and isinstance(value, dict) else (value,)
        for text in (name, *pins):
            if isinstance(text, str | bytes):
                check_text(path, text)
    return content


def parse_yaml(path: str, text: str | bytes) -> dict[str, Any]:
    """The mapping in the text of a YAML file. Raises RequestError, which names the file."""
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None)
        raise RequestError(
            f"{path}{where}: not valid YAML{f' ({why})' if why else ''}; correct it and run again"
        ) from error
    # PyYAML raises nearly anything for a value that is not what its tag says (ValueError for
    # the 31st of June), and for thousands of brackets.
    except Exception as error:
        raise RequestError(
            f"{path}: not valid YAML ({error_text(error)}); correct it and run again"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RequestError(f"{path}: contains no options; write lines such as `epochs: 30`")
    return content


def check_text(place: str, text: str | bytes) -> None:
    """Raises RequestError for text that should not reach a terminal or a file name.

    That is: control characters and line separators, invalid UTF-8, and the home folder of a
    user who does not exist.
    """
    if isinstance(text, bytes) or any(
        unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text
    ):
        raise RequestError(
            f"{place}: {SHORT.repr(text)} contains a control character or invalid UTF-8; remove it"
        )
    for home in _HOME.findall(text):
        if os.path.expanduser(home) == home:
            raise RequestError(
                f"{place}: {SHORT.repr(text)} names the home folder {home}, but there is no such "
                "user; write the whole path"
            )


class PlainLoader(yaml.SafeLoader):
    """YAML as data, in which 1:3 is a range and not, as in YAML 1.1, the number 63.

    Duplicate keys are refused as mistakes, and merge keys because a few lines of merges could
    take all memory.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Raises ConstructorError for a merge key or a name that is given twice."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if name == "<<" or names.count(name) > 1:
                problem = (
                    "merge keys are not supported" if name == "<<" else f"{name!r} is given twice"
                )
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver(_NUMBERS[0], re.compile(r"[-+]?[0-9]+$"), list("-+0123456789"))
PlainLoader.add_implicit_resolver(
    _NUMBERS[1],
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|nan)$"),
    list("-+.0123456789"),
)


def load_yaml(text: str | bytes) -> Any:
    """The content of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, PlainLoader)
