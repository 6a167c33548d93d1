"""Settings that a network has for one backend, before that backend and before all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from spikeport.errors import LowerError, Problem, SpikeportError
from spikeport.plugin.backend import Backend
from spikeport.plugin.registry import installed, nearest
from spikeport.primitives import DynamicNetwork, DynamicPopulation, Extension, Projection, SpikingNetwork, extended
from spikeport.storage.codec import MISFIT, fit
from spikeport.targets import target_names

T = TypeVar("T")


def extension_problems(
    network: SpikingNetwork | DynamicNetwork, name: str, of: Backend | None = None
) -> Iterator[Problem]:
    """Everything in a network's `ext` that is for another backend than this one, for none, or not as this one has it.

    Args:
        name: of the backend, or of a chip that no backend is installed for.
        of: the backend, whose classes tell what is right.
    """
    if not isinstance(network, DynamicNetwork):
        return
    own = None if of is None else of.name
    for place in extended(network):
        for extension in place.ext:
            if extension.namespace != (own or name):
                yield _foreign(place, extension, own or name)
            elif of is not None:
                yield from _made(place, extension, of)[1]


def settings_of(place: DynamicPopulation | Projection, of: Backend, kind: type[T]) -> T | None:
    """What a population or projection says to a backend, as an instance of the class that the backend has for it; None: nothing.

    Raises:
        LowerError: settings that are not as the class has them.
    """
    for extension in place.ext:
        if extension.namespace == of.name:
            made, problems = _made(place, extension, of)
            if problems:
                raise LowerError(problems)
            assert isinstance(made, kind)
            return made
    return None


def _foreign(place: DynamicPopulation | Projection, extension: Extension, name: str) -> Problem:
    namespace = extension.namespace
    there = [*installed(), *target_names()]
    if namespace not in there:
        return Problem(place.name, f"has settings for {namespace!r}, which is no backend", nearest(namespace, there))
    names = ", ".join(key for key, _ in extension.settings)
    why = f"has settings for {namespace!r} ({names}), which {name!r} does not know"
    hint = f"compile it for {namespace}, or leave ext out: spikeport.primitives.without_extensions(network)"
    return Problem(place.name, why, hint)


def _made(place: DynamicPopulation | Projection, extension: Extension, of: Backend) -> tuple[Any, list[Problem]]:
    """An instance of the backend's class, or why there is none."""
    population = isinstance(place, DynamicPopulation)
    kind = of.population_settings if population else of.projection_settings
    where = f"{place.name}: {of.name}"
    if kind is None:
        what = "populations" if population else "projections"
        return None, [Problem(where, f"has no settings of {what}", "leave them out")]
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind) if f.init]
    values, problems = {}, []
    for name, value in extension.settings:
        if name not in known:
            problems.append(Problem(f"{where}.{name}", "is no setting of this backend", nearest(name, known)))
        elif (fitted := fit(value, hints[name])) is MISFIT:
            problems.append(Problem(f"{where}.{name}", f"is {value!r}", f"{_words(hints[name])}"))
        else:
            values[name] = fitted
    if problems:
        return None, problems
    try:
        return kind(**values), []
    except SpikeportError as error:
        return None, [Problem(f"{where}.{p.where}", p.why, p.hint) for p in error.problems]
    except (TypeError, ValueError) as error:
        return None, [Problem(where, str(error), f"see {kind.__module__}.{kind.__name__}")]


def _words(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not getattr(hint, "__args__", ()) else str(hint)


def refuse_extensions(network: SpikingNetwork | DynamicNetwork, of: Backend, more: Iterable[Problem] = ()) -> None:
    """Raise what `extension_problems` finds, with other refusals.

    Raises:
        LowerError: all of it.
    """
    problems = [*more, *extension_problems(network, of.name, of)]
    if problems:
        raise LowerError(problems)
