"""YAML files of options, read with the place of each fault and written."""

import os
import re
import reprlib
import unicodedata
from typing import Any

import yaml

from tuner.text.errors import RequestError, said

# Part of a value that begins with somebody's home folder.
_HOME = re.compile(r"(?:^|[=:@,])(~[^/=:@,]*)")
SHORT = reprlib.Repr()
SHORT.maxstring, SHORT.maxlevel = 200, 2  # in a YAML file a few lines may say very much


def read_yaml(path: str) -> dict[str, Any]:
    """The mapping in a YAML file, by path or URI, as data. Raises RequestError."""
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
            f"{path}{where}: is not YAML{f' ({why})' if why else ''}; correct it and run again"
        ) from error
    # A value that is not what its tag says makes PyYAML raise nearly anything (ValueError for
    # the 31st of June), and so does a file of thousands of brackets.
    except Exception as error:
        raise RequestError(
            f"{path}: is not YAML that can be read ({said(error)}); correct it and run again"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RequestError(f"{path}: holds no options; write lines such as `epochs: 30`")
    return content


def check_text(place: str, text: str | bytes) -> None:
    """Refuses what could be no name of anything, before it reaches a terminal or a file."""
    # Control characters, such as a terminal obeys; line separators; bytes that are no UTF-8.
    if isinstance(text, bytes) or any(
        unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text
    ):
        raise RequestError(
            f"{place}: {SHORT.repr(text)} holds a sign that is none of a text's; leave it out"
        )
    for home in _HOME.findall(text):
        if os.path.expanduser(home) == home:
            raise RequestError(
                f"{place}: {SHORT.repr(text)} names the home folder {home}, which is nobody's; "
                "write the folder's whole path"
            )


class PlainLoader(yaml.SafeLoader):
    """YAML as data, in which 1:3 is a range, not the number 63 of YAML 1.1.

    An option that is there twice is a mistake, and nothing is merged: a few lines of merges
    could ask for all the memory there is.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if name == "<<" or names.count(name) > 1:
                problem = (
                    "merges are not known here" if name == "<<" else f"{name!r} is there twice"
                )
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str | bytes) -> Any:
    """The content of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, PlainLoader)


def yaml_text(value: object) -> str:
    """A value of a YAML file as it is written on the command line."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
