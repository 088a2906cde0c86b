"""A YAML file of settings, and flags, to typed values: what cannot be meant is refused by file, line and key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import UsageError
from .settings import NAMES, TrainConfig

FIELDS = {name: field for field, name in NAMES.items()}
HINTS = get_type_hints(TrainConfig)


def flag(field: str) -> str:
    """The option of a field: `--max-new-tokens`."""
    return "--" + NAMES[field].replace("_", "-")


def checked_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags that are given, typed.

    Args:
        flags: Field (or the name of its option without dashes) to value; None is not given.

    Raises:
        UsageError: There is no such field, or its type is wrong.
    """
    given = {}
    for name, value in flags.items():
        field = name if name in NAMES else _field(name, "")
        if value is not None:
            given[field] = typed(field, value, flag(field))
    return given


def read_settings(path: Path) -> dict[str, Any]:
    """Field to value of a YAML file; a value that is null is given too.

    Raises:
        UsageError: The file cannot be read, or is no list of settings; a key is unknown, stands twice or has a wrong
            type.
    """
    given: dict[str, Any] = {}
    for key, line, value in _entries(path):
        where = f"{path}: line {line}: "
        field = _field(key, where)
        if field in given:
            raise UsageError(f"{where}{key} stands in the file twice. Leave one of the two.")
        given[field] = typed(field, value, where + key)
    return given


def _entries(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Key, line and value of each entry; yaml itself would let a later key take the place of an earlier one."""
    import yaml

    try:
        # nodes know their lines, and a key that comes twice is still there twice
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{path}: holds no settings. Write one `key: value` a line.")
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, loader.construct_object(value, deep=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}). Check --config.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None


def _field(key: str, where: str) -> str:
    name = key.replace("-", "_")
    if name in FIELDS:
        return FIELDS[name]
    # `power` is the name in Python; on the command line and in files it is lambda
    near = [NAMES["power"]] if name == "power" else get_close_matches(name, FIELDS, 1)
    meant = f"Did you mean {near[0]}?" if near else "grpo-prm train --help lists the settings."
    raise UsageError(f"{where}there is no setting called {key}. {meant}")


def typed(field: str, value: Any, where: str) -> Any:
    """A value as the type of its field: a whole number is a number too, and one reward is a list of one.

    Args:
        field: Name of the field.
        value: From YAML or a flag.
        where: What the message begins with: file and key, or the option.

    Raises:
        UsageError: It is of another type.
    """
    kinds = _kinds(HINTS[field])
    for kind in kinds:  # in the order of the annotation; None comes last
        fits, same = _as(kind, value)
        if fits:
            return same
    wanted = " or ".join(map(_in_words, kinds))
    raise UsageError(f"{where} is {value!r}, but must be {wanted}. Change it.")


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def option_kind(field: str) -> Any:
    """The type of an option of the command line: None, which is not given, apart; several values are a list."""
    (kind,) = [kind for kind in _kinds(HINTS[field]) if kind is not type(None)]
    return list[str] if get_origin(kind) is tuple else kind


def _as(kind: Any, value: Any) -> tuple[bool, Any]:
    """Whether a value can be of a kind, and what it is then."""
    if get_origin(kind) is Literal:
        return any(value == choice for choice in get_args(kind)), value
    if get_origin(kind) is tuple:
        texts = (value,) if isinstance(value, str) else value
        return isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts), tuple(texts or ())
    if kind in (int, float) and isinstance(value, bool):  # a bool is an int to Python
        return False, value
    if kind is float and isinstance(value, int | str):  # YAML reads 1e-6 as text
        try:
            return True, float(value)
        except (ValueError, OverflowError):
            return False, value
    if kind is str and isinstance(value, Path):
        return True, str(value)
    return isinstance(value, kind), value


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    names = {type(None): "null", float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    return names.get(kind, "a list of texts")
