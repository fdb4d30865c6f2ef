"""Files of parameters, YAML or TOML: flat names and their values, read strictly and written back.

What a name means and whether its value will do is `pfnlab.notebooks.sweep_request`'s question.
YAML is read as papermill reads it, so that a file says the same to both; what PyYAML reads
otherwise than it looks (``010`` is 8, ``1:30`` is 90) or would drop in silence (a name given
twice) is refused.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pfnlab.errors import ParameterError, ParameterFileError
from pfnlab.files import whole_file

SUFFIXES = (".yaml", ".yml", ".toml")
#: A grid of ten thousand values takes a third of it, and reading it a second or two.
MOST_BYTES = 1 << 18
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


def read_parameters(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the names and values of a parameter file.

    Raises
    ------
    ParameterFileError
        Naming the file, and the line where the format has one.
    """
    check_suffix(path)
    text = _text(Path(path))
    parse = _toml if Path(path).suffix == ".toml" else read_yaml
    try:
        return parse(text)
    except ParameterFileError as error:
        raise ParameterFileError(f"{path}: {error}") from error


def write_parameters(given: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write names and values as `read_parameters` reads them; TOML leaves out what is None."""
    check_suffix(path)
    text = _toml_text(given) if Path(path).suffix == ".toml" else _yaml_text(given)
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise ParameterError("source", error.object, "must be text to be written") from error
    with whole_file(path) as temporary:
        temporary.write_bytes(encoded)
    return Path(path)


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse a name that does not say which format the file has."""
    if Path(path).suffix not in SUFFIXES:
        raise ParameterFileError(f"{path}: must end in {', '.join(SUFFIXES)}")


def read_yaml(text: str) -> dict[str, Any]:
    """Return the names and values of a YAML text.

    Raises
    ------
    ParameterFileError
        If it is no YAML, or no flat mapping.
    """
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ParameterFileError(f"{line}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ParameterFileError(f"must be YAML ({_line(error)})") from error
    return _flat({} if found is None else found)


def _toml(text: str) -> dict[str, Any]:
    try:
        return _flat(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ParameterFileError):
            raise
        raise ParameterFileError(f"must be TOML ({_line(error)})") from error


def _flat(found: object) -> dict[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ParameterFileError("must have lines of 'name: value'")
    return found


def _text(path: Path) -> str:
    """Return the text of a file that is not too long; opening a pipe could wait forever."""
    if path.exists() and not path.is_file():
        raise ParameterFileError(f"{path}: must be a file, it is a folder, a pipe or a device")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ParameterFileError(f"{path}: can't be read ({error.strerror})") from error
    if len(data) > MOST_BYTES:
        raise ParameterFileError(f"{path}: must have at most {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        requirement = f"must be UTF-8 (byte {error.start} is not)"
        raise ParameterFileError(f"{path}: {requirement}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _refusal(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, where.start_mark)


class _Loader(yaml.SafeLoader):
    """YAML without what a flat file never needs: aliases, merges, names given twice, dates."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _refusal("there must be no aliases", self.get_event())  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        names: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                raise _refusal("a name must be text", key)
            if key.value in names:
                raise _refusal(f"{key.value!r} must be given once", key)
            names.add(key.value)

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        if not _DECIMAL.fullmatch(node.value):
            raise _refusal(f"{node.value} must be a decimal number, or text in quotes", node)
        return int(node.value.replace("_", ""))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml_text(given: Mapping[str, Any]) -> str:
    return yaml.safe_dump(
        dict(given), sort_keys=False, default_flow_style=None, allow_unicode=True, width=96
    )


def _toml_text(given: Mapping[str, Any]) -> str:
    return "".join(f"{n} = {_toml_value(v)}\n" for n, v in given.items() if v is not None)


_TOML: dict[type, Callable[[Any], str]] = {
    # JSON's strings are TOML's but for one character.
    str: lambda value: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f"),
    list: lambda value: f"[{', '.join(map(_toml_value, value))}]",
    int: str,
    float: repr,
}


def _toml_value(value: object) -> str:
    return _TOML[type(value)](value)
