"""The command line and the YAML file of a command, both derived from its request model."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from pydantic import BaseModel, ByteSize, ValidationError
from pydantic.fields import FieldInfo

from tuner import __version__
from tuner.config.yaml_file import SHORT, PlainLoader, check_text, read_yaml, yaml_text
from tuner.text.errors import RequestError, printable

# What the libraries themselves read; a flag wins over it, a file does not.
ENVIRONMENT = {
    "address": "RAY_ADDRESS",
    "experiment": "MLFLOW_EXPERIMENT_NAME",
    "tracking_uri": "MLFLOW_TRACKING_URI",
}
Request = TypeVar("Request", bound=BaseModel)


class Parser(argparse.ArgumentParser):
    """Refuses as every command does: with a RequestError."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message}; see {self.prog} --help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = sys.argv[1:] if args is None else list(args)
        for word in words:
            check_text("the command line", word)
        return super().parse_known_args(words, namespace)


def parser_for(model: type[BaseModel], prog: str, description: str) -> argparse.ArgumentParser:
    """A parser with an option for every field of `model`; what is not given stays absent."""
    parser = Parser(
        prog=prog,
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=100),
    )
    parser.add_argument("--version", action="version", version=f"tuner {__version__}")
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of these options")
    for name, field in model.model_fields.items():
        _add_option(parser, name, field)
    return parser


def read_request(
    model: type[Request], given: dict[str, Any], *, base: dict[str, Any] | None = None
) -> Request:
    """Merges `given` over the environment, the YAML file that it names, and `base`; validates.

    Raises RequestError: one sentence, naming the option.
    """
    given = dict(given)
    config = given.pop("config", None)
    values = dict(base or {}) | (read_yaml(config) if config else {})
    if "set" in given:  # single pins win over the file's, the others stay
        pins = values.get("set") or {}
        given["set"] = pins | given["set"] if isinstance(pins, dict) else pins
    for option, variable in ENVIRONMENT.items():
        if option in model.model_fields and os.environ.get(variable):
            values[option] = os.environ[variable]
    values |= given
    for name in values:
        if name not in model.model_fields:
            close = difflib.get_close_matches(str(name)[:100], model.model_fields, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ";"
            raise RequestError(
                f"{config}: unknown option {SHORT.repr(name)}{hint} "
                f"known: {', '.join(model.model_fields)}"
            )
    if isinstance(values.get("set"), dict):
        values["set"] = {
            str(name): value if isinstance(value, list | dict | set) else yaml_text(value)
            for name, value in values["set"].items()
        }
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(_sentence(error)) from None


PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|nan)$"),
    list("-+.0123456789"),
)


def _add_option(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("is_positional"):
        parser.add_argument(name, nargs="?", metavar="NAME", help=field.description)
        return
    flag = f"--{name.replace('_', '-')}"
    types = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    kind: Any = types[0] if types else str
    text = field.description or ""
    if field.default not in (None, False) and not field.is_required() and not field.default_factory:
        text = f"{text} (default: {field.default})"
    if get_origin(kind) is dict:
        parser.add_argument(flag, action=_Assign, metavar="NAME=VALUE", help=text)
    elif kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
    elif choices := [str(choice) for choice in get_args(kind) if isinstance(choice, str)]:
        parser.add_argument(flag, metavar="|".join(choices), help=text)
    else:
        metavar = {int: "N", float: "X", ByteSize: "SIZE"}.get(
            kind, name.upper().rpartition("_")[2]
        )
        parser.add_argument(flag, metavar=metavar, help=text.replace("%", "%%"))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that a field accepts, without what only annotates them."""
    if hasattr(annotation, "__metadata__"):
        return _alternatives(annotation.__origin__)
    arguments = get_args(annotation)
    if get_origin(annotation) in (dict, tuple) or not arguments or isinstance(arguments[0], str):
        return (annotation,)
    return tuple(kind for argument in arguments for kind in _alternatives(argument))


class _Assign(argparse.Action):
    """Collects NAME=VALUE into a dict."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        name, equals, value = values.partition("=")
        if not equals or not name.strip() or not value.strip():
            parser.error(f"{option_string} {values}: write NAME=VALUE or NAME=LOW:HIGH")
        assigned = dict(getattr(namespace, self.dest, {}))
        assigned[name.strip().replace("-", "_")] = value.strip()
        setattr(namespace, self.dest, assigned)


_REMEDIES = {
    "greater_than_equal": "it must be at least {ge:g}",
    "greater_than": "it must be above {gt:g}",
    "less_than": "it must be below {lt}",
    "less_than_equal": "it must be at most {le}",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "int_type": "give a whole number",
    "float_parsing": "give a number",
    "float_type": "give a number",
    "finite_number": "give a finite number",
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "string_type": "give a text",
    "dict_type": "write NAME: VALUE lines",
    "byte_size": "give a size such as 200GB",
    "byte_size_unit": "give a size such as 200GB",
    "value_error": "give a number, or a time such as 90s, 30m or 8h",
}


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function"))
    option = str(first["loc"][0]) if first["loc"] else name
    if first["type"] == "missing":
        return f"{option} is missing; give --{option.replace('_', '-')}"
    if first["type"] == "literal_error":
        expected = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        word = first["input"] if isinstance(first["input"], str) else ""
        close = difflib.get_close_matches(word[:100], expected.split(", "), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        return f"unknown {option} {SHORT.repr(first['input'])}{hint} known: {expected}"
    remedy = _REMEDIES.get(first["type"])
    remedy = remedy.format(**first.get("ctx", {})) if remedy else first["msg"]
    return f"{option} is {SHORT.repr(first['input'])}; {remedy}"


def fail(message: str) -> int:
    """Tells a person what is wrong with the request, and returns the exit status for it."""
    print(f"tuner: {printable(message)}", file=sys.stderr)  # noqa: T201
    return 2
