"""The command line of a command, derived from its request model, merged with a YAML file."""

import argparse
import os
import sys
from collections.abc import Sequence
from inspect import get_annotations
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ByteSize, ValidationError
from pydantic.fields import FieldInfo

from search_spaces.wording import suggestion, text_of
from tuner import __version__
from tuner.config.options import GROUPS
from tuner.config.yaml_file import SHORT, check_text, parse_yaml, read_yaml
from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from tuner.storage.folder import Storage

# Variables that Ray and MLflow read; a flag wins over them, and they win over a YAML file.
ENVIRONMENT = {
    "address": "RAY_ADDRESS",
    "experiment": "MLFLOW_EXPERIMENT_NAME",
    "tracking_uri": "MLFLOW_TRACKING_URI",
}
Request = TypeVar("Request", bound=BaseModel)


class Parser(argparse.ArgumentParser):
    """Raises RequestError for what it cannot parse, so that all refusals look alike."""

    general: Any  # the group of --help, for flags that are not in a request

    def error(self, message: str) -> NoReturn:
        """Raises RequestError, where argparse would exit."""
        raise RequestError(f"{message}; see {self.prog} --help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = sys.argv[1:] if args is None else list(args)
        for word in words:
            check_text("the command line", word)
        return super().parse_known_args(words, namespace)


def parser_for(model: type[BaseModel], prog: str, description: str) -> Parser:
    """A parser with an option for every field of `model`; omitted options stay absent.

    Options are grouped as the fields say; those of the model itself precede inherited ones.
    """
    parser = Parser(
        prog=prog,
        usage=_usage(model),
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=100),
    )
    names = [name for part in model.__mro__ for name in get_annotations(part)]
    fields = {name: model.model_fields[name] for name in names if name in model.model_fields}
    for name, field in fields.items():
        if _is_positional(field):
            count = "*" if get_origin(_type_of(field)) is tuple else "?"
            parser.add_argument(name, nargs=count, metavar="NAME", help=field.description)
    for group in GROUPS:
        in_group = {n: field for n, field in fields.items() if _extra(field).get("group") == group}
        if in_group:
            section = parser.add_argument_group(group)
            for name, field in in_group.items():
                _add_option(section, name, field)
    parser.general = parser.add_argument_group("general")
    parser.general.add_argument("-h", "--help", action="help", help="show this help and exit")
    parser.general.add_argument(
        "--version", action="version", version=f"tuner {__version__}", help="show the version"
    )
    parser.general.add_argument(
        "--config", metavar="FILE", help="YAML file with any of the options above"
    )
    return parser


def read_request(
    model: type[Request], given: dict[str, Any], *, base: dict[str, Any] | None = None
) -> Request:
    """Merges `given` over the environment, over the YAML file that it names, over `base`.

    Raises RequestError for an unknown option or an invalid value, in one sentence.
    """
    given = dict(given)
    config = given.pop("config", None)
    values = dict(base or {}) | (read_yaml(config) if config else {})
    if "set" in given:  # a hyperparameter on the command line replaces only its own in the file
        pins = values.get("set") or {}
        given["set"] = pins | given["set"] if isinstance(pins, dict) else pins
    for option, variable in ENVIRONMENT.items():
        if option in model.model_fields and os.environ.get(variable):
            values[option] = os.environ[variable]
    values |= given
    for name in values:
        if name not in model.model_fields:
            raise RequestError(
                f"{config or 'search.yaml'}: unknown option {SHORT.repr(name)}"
                f"{suggestion(name, model.model_fields)} "
                f"known: {', '.join(model.model_fields)}"
            )
    if isinstance(values.get("set"), dict):
        values["set"] = {
            str(name): value if isinstance(value, list | dict | set) else text_of(value)
            for name, value in values["set"].items()
        }
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(_sentence(model, error)) from None


def read_started(
    model: type[Request], runs: "Storage", name: str, given: dict[str, Any] | None = None
) -> Request:
    """The request with which the run `name` started, and `given` over it.

    Raises as `read_request`.
    """
    from tuner.storage.folder import SEARCH_FILE

    storage = runs.sub(name)
    written = parse_yaml(storage.path(SEARCH_FILE), storage.read(SEARCH_FILE))
    return read_request(model, given or {}, base=written | {"name": name, "runs_dir": runs.uri})


def _usage(model: type[BaseModel]) -> str:
    """The one line of usage: what is required; the groups below list the rest."""
    words = ["%(prog)s"]
    for name, field in model.model_fields.items():
        if _is_positional(field):
            words.append("NAME [NAME ...]" if get_origin(_type_of(field)) is tuple else "NAME")
        elif field.is_required():
            words.append(f"{_flag(name)} {name.upper()}")
    return " ".join([*words, "[options]"])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _is_positional(field: FieldInfo) -> bool:
    return bool(_extra(field).get("is_positional"))


def _add_option(section: Any, name: str, field: FieldInfo) -> None:
    """Adds the flag of a field to a section of the help."""
    kind, text = _type_of(field), field.description or ""
    if field.default and not field.is_required() and not field.default_factory:
        text = f"{text} (default: {field.default})"
    options: dict[str, Any] = {"help": text.replace("%", "%%")}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif get_origin(kind) is dict:
        options |= {"action": _Assign, "metavar": "NAME=VALUE"}
    elif get_origin(kind) is Literal:
        options["metavar"] = "|".join(get_args(kind))
    else:
        metavars = {int: "N", float: "X", ByteSize: "SIZE"}
        options["metavar"] = metavars.get(kind, name.upper().rpartition("_")[2])
    section.add_argument(_flag(name), **options)


def _type_of(field: FieldInfo) -> Any:
    """The type of a field's values: `int` of `Annotated[int, ...] | None`."""
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    return kinds[0] if kinds else str


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if hasattr(annotation, "__metadata__"):
        return _alternatives(annotation.__origin__)
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for part in get_args(annotation) for kind in _alternatives(part))
    return (annotation,)


class _Assign(argparse.Action):
    """Collects NAME=VALUE into a dict."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        name, equals, value = values.partition("=")
        if not equals or not name.strip() or not value.strip():
            parser.error(f"{option_string} {values}: write NAME=VALUE or NAME=LOW:HIGH")
        assigned = dict(getattr(namespace, self.dest, {}))
        assigned[name.strip().replace("-", "_")] = value.strip()
        setattr(namespace, self.dest, assigned)


# By pydantic's type of error.
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
    "string_type": "give text",
    "dict_type": "write NAME: VALUE lines",
    "byte_size": "give a size such as 200GB",
    "byte_size_unit": "give a size such as 200GB",
    "value_error": "{error}",
}


def _sentence(model: type[BaseModel], error: ValidationError) -> str:
    """The first of pydantic's findings: the option, its value and what was expected."""
    first = error.errors()[0]
    option = str(first["loc"][0])
    if first["type"] == "missing":
        is_positional = _is_positional(model.model_fields[option])
        return (
            f"{option} is missing; give {'it as an argument' if is_positional else _flag(option)}"
        )
    value = SHORT.repr(first["input"])
    if first["type"] == "literal_error":
        known = get_args(_type_of(model.model_fields[option]))
        hint = suggestion(first["input"], known)
        return f"unknown {option} {value}{hint} known: {', '.join(known)}"
    remedy = _REMEDIES.get(first["type"])
    remedy = remedy.format(**first.get("ctx", {})) if remedy else first["msg"]
    return f"{option} is {value}; {remedy}"
