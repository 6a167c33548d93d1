"""Values against the types of the dataclasses, by pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from spikeport.config.options import ProjectOptions
from spikeport.errors import BackendError, Problem

if TYPE_CHECKING:
    from spikeport.config.gather import Setting


def checked(settings: Mapping[tuple[str, ...], Setting], problems: list[Problem]) -> ProjectOptions | None:
    """The options; what is of a wrong kind is added to `problems`, and then there are none."""
    kinds = get_type_hints(ProjectOptions)
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    targets: dict[str, dict[str, Any]] = {}
    before = len(problems)
    for key, setting in settings.items():
        if key[0] == "targets":
            kind, room = target_kind(key[1], key[2]), targets.setdefault(key[1], {})
        elif len(key) == 2:
            kind, room = get_type_hints(kinds[key[0]])[key[1]], sections.setdefault(key[0], {})
        else:
            kind, room = kinds[key[0]], top
        value, why = fitted(kind, setting.value)
        if why:
            problems.append(Problem(setting.origin, f"{'.'.join(key)} is {setting.value!r}: {why}"))
        room[key[-1]] = value
    if len(problems) > before:
        return None
    made = {name: kinds[name](**values) for name, values in sections.items()}
    for name, values in targets.items():
        try:
            _options_of(name)(**values)
        except (TypeError, ValueError) as error:
            where = settings["targets", name, next(iter(values))].origin
            problems.append(Problem(where, f"targets.{name}: {error}"))
    return None if len(problems) > before else ProjectOptions(**top, **made, targets=targets)


def fitted(kind: Any, value: Any) -> tuple[Any, str]:
    """A value as the type has it, or why it is none of it: nothing is guessed, but a number is a text where texts are meant."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    if isinstance(value, list):
        value = tuple(value)
    try:
        return adapter.validate_python(value, strict=True), ""
    except ValidationError as error:
        first = error
    if isinstance(value, str) and "tuple" in str(kind):  # names with commas between
        return fitted(kind, tuple(part.strip() for part in value.split(",") if part.strip()))
    wrong = first.errors(include_url=False, include_context=False, include_input=False)
    return None, "; ".join(dict.fromkeys(_said(entry["msg"]) for entry in wrong))


def _said(message: str) -> str:
    """What pydantic says, as a clause."""
    return message.removeprefix("Input ").removeprefix("Value error, ")


def target_kind(name: str, option: str) -> Any:
    """The type of an option of a backend."""
    return get_type_hints(_options_of(name)).get(option, Any)


def _options_of(name: str) -> type[Any]:
    from spikeport.plugin import backend

    return backend(name).options


def json_schema() -> dict[str, Any]:
    """Of a configuration, with the options of all backends that can be loaded."""
    from spikeport.plugin import installed

    adapter: TypeAdapter[Any] = TypeAdapter(ProjectOptions)
    found: dict[str, Any] = adapter.json_schema(ref_template="#/$defs/{model}")
    defs = found.setdefault("$defs", {})
    targets: dict[str, Any] = {}
    for name in installed():
        try:
            kind = _options_of(name)
            made: dict[str, Any] = TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}")
        except (BackendError, TypeError, ValueError) as error:
            targets[name] = {"type": "object", "description": str(error).partition("\n")[0]}
            continue
        except Exception as error:  # pydantic has no schema for types of others
            targets[name] = {"type": "object", "description": f"no schema: {type(error).__name__}"}
            continue
        defs |= made.pop("$defs", {})
        targets[name] = {**made, "additionalProperties": False}
    found["properties"]["targets"] = {"type": "object", "properties": targets, "additionalProperties": False}
    for part in (found, *(defs[kind.__name__] for kind in _sections())):
        part["additionalProperties"] = False
    return found


def _sections() -> list[type[Any]]:
    kinds = get_type_hints(ProjectOptions)
    return [
        kinds[f.name] for f in fields(ProjectOptions) if isinstance(kinds[f.name], type) and is_dataclass(kinds[f.name])
    ]
