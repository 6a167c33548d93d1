"""Exported program -> `Graph`: every operator translated, or all that cannot be, in one error."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from spikeport.capture.curves import HANDLERS
from spikeport.capture.export import export
from spikeport.capture.float_model import FloatModel
from spikeport.capture.refusals import MODULES, refusal
from spikeport.capture.source import Origin, origin
from spikeport.capture.translation import Call, Traced, Translation, Unknown, Unsupported
from spikeport.errors import CaptureError, Problem
from spikeport.graph import Graph, Input, Node, build

INPUT = "input"
CHECKS = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size", "_guards_fn")


def capture(model: FloatModel, example: Tensor) -> Graph:
    """The model as a `Graph`.

    Args:
        model: the model to convert.
        example: real inputs, shape (batch, *input); only the shape matters.

    Raises:
        CaptureError: operations that cannot be captured, all of them, with file and line.
        GraphError: parameters that are not finite.
        DataError: the model fails on the example.
    """
    exported = export(model, example)
    return _Reader(exported.program, exported.batch).read(exported.problem)


class _Reader:
    """One pass over an exported program, gathering problems."""

    def __init__(self, program: ExportedProgram, batch: int) -> None:
        self.program = program
        self.translation = Translation(batch)
        self.values: dict[fx.Node, Any] = {}
        self.problems: dict[tuple[str, str], Problem] = {}

    def read(self, problem: Problem | None) -> Graph:
        """The graph; `problem` is what is known to be wrong already."""
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self._entry(node)
            elif node.op == "call_function":
                self.values[node] = self._called(node)
            elif node.op == "output":
                output = self._output(node)
        self._refuse_changed_buffers()
        if problem is not None:
            self.problems[(problem.where, "")] = problem
        if not isinstance(output, Traced) and not self.problems:
            self.problems[(INPUT, "")] = Problem(
                INPUT, "does not reach the output", "the output must depend on the input"
            )
        if self.problems:
            raise CaptureError(self.problems.values())
        return build(self.translation.nodes, output.name)

    def _entry(self, node: fx.Node) -> Any:
        spec = next(s for s in self.program.graph_signature.input_specs if getattr(s.arg, "name", None) == node.name)
        if spec.kind is InputKind.USER_INPUT:
            shape = tuple(int(size) for size in node.meta["val"].shape[1:])
            name = self.translation.unique(INPUT)
            self.translation.nodes.append(Node(name, Input(shape), (), shape))
            return Traced(name, shape)
        assert spec.target is not None
        if spec.kind is InputKind.PARAMETER or (spec.kind is InputKind.BUFFER and spec.persistent):
            return self.program.state_dict[spec.target]
        return self.program.constants[spec.target]

    def _called(self, node: fx.Node) -> Any:
        arguments = self._arguments(node)
        if node.target is operator.getitem:
            container, index = node.args
            value = self.values[container]  # type: ignore[index] # fx types any argument; this one is a node
            return self._in_place_of(node) if isinstance(value, Unknown) else value[index]
        if not isinstance(node.target, torch._ops.OpOverload):
            if any(isinstance(value, Traced | Unknown) for value in _flat(list(arguments.values()))):
                self._refuse(node, str(node.target), Unsupported(*refusal("", "")))
                return Unknown()
            return node.target(*(arguments[str(i)] for i in range(len(node.args))))  # type: ignore[operator] # an operator on sizes
        name = node.target._schema.name.partition("::")[2]
        if name in CHECKS:
            return None
        inside = self._inside_refused_module(node)
        if inside is not None:
            return inside
        values = list(_flat(list(arguments.values())))
        if not any(isinstance(value, Traced | Unknown) for value in values):
            return self._folded(node, name, arguments)
        base = name.rstrip("_") if name.rstrip("_") in HANDLERS else name
        handler = HANDLERS.get(base)
        if handler is None:
            self._refuse(node, name, Unsupported(*refusal(name, _class(origin(node)))))
            return self._in_place_of(node)
        if base.endswith("softmax") and any(user.op != "output" for user in node.users):
            why = "softmax in the middle divides by a sum of activations; only a trailing one can run on the host"
            self._refuse(node, name, Unsupported(why, "remove it, or train with ReLU in its place"))
            return self._in_place_of(node)
        if any(isinstance(value, Unknown) for value in values):
            return Unknown()
        try:
            return handler(self.translation, self._call(node, base, arguments))
        except Unsupported as problem:
            self._refuse(node, name, problem)
            return self._in_place_of(node)

    def _call(self, node: fx.Node, name: str, arguments: dict[str, Any]) -> Call:
        found = node.meta.get("val")
        shape = tuple(int(size) for size in found.shape) if isinstance(found, Tensor) else None
        where = origin(node)
        base = where.path if where.library else f"{where.path}.{name}" if where.path else name
        return Call(name, arguments, shape, base or name, where)

    def _arguments(self, node: fx.Node) -> dict[str, Any]:
        """Arguments by the names of the operator's schema, defaults included."""

        def value(argument: Any) -> Any:
            if isinstance(argument, fx.Node):
                return self.values[argument]
            if isinstance(argument, list | tuple):
                return [value(item) for item in argument]
            return argument

        if not isinstance(node.target, torch._ops.OpOverload):
            return {str(i): value(argument) for i, argument in enumerate(node.args)}
        bound = {}
        for index, argument in enumerate(node.target._schema.arguments):
            if index < len(node.args):
                bound[argument.name] = value(node.args[index])
            elif argument.name in node.kwargs:
                bound[argument.name] = value(node.kwargs[argument.name])
            else:
                bound[argument.name] = argument.default_value if argument.has_default_value() else None
        return bound

    def _folded(self, node: fx.Node, name: str, arguments: dict[str, Any]) -> Any:
        """The result of an operator whose arguments are all constants."""
        assert isinstance(node.target, torch._ops.OpOverload)
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            self._refuse(node, name, Unsupported("draws random numbers", "use fixed constants"))
            return Unknown()
        positional, named = [], {}
        for argument in node.target._schema.arguments:
            if argument.kwarg_only:
                named[argument.name] = arguments[argument.name]
            else:
                positional.append(arguments[argument.name])
        with torch.no_grad():
            return node.target(*positional, **named)

    def _in_place_of(self, node: fx.Node) -> Traced | Unknown:
        """A value to go on with after a refusal, so that what follows is looked at too."""
        found = node.meta.get("val")
        if isinstance(found, Tensor) and found.ndim > 1 and found.shape[0] == self.translation.batch:
            return Traced("", tuple(int(size) for size in found.shape[1:]))
        return Unknown()

    def _inside_refused_module(self, node: fx.Node) -> Traced | Unknown | None:
        """Refuse LSTMs, attention and the like as one thing, rather than each operator in them."""
        for path, module in reversed(list((node.meta.get("nn_module_stack") or {}).values())):
            kind = str(module).rpartition(".")[2]
            if str(module).startswith("torch.nn.modules.") and kind in MODULES:
                where = origin(node)
                why, hint = MODULES[kind]
                self._add(str(path) or kind, kind, where.line, why, hint)
                return self._in_place_of(node)
        return None

    def _refuse(self, node: fx.Node, name: str, problem: Unsupported) -> None:
        where = origin(node)
        place = where.path or name
        self._add(place, name, where.line, problem.why, problem.hint)

    def _add(self, place: str, what: str, line: str, why: str, hint: str) -> None:
        label = place if place == what else f"{place}: {what}"
        where = f"{label} ({line})" if line else label
        key = (place, f"{line}{why}") if line else (place, what)
        self.problems.setdefault(key, Problem(where, why, hint))

    def _output(self, node: fx.Node) -> Any:
        (results,) = node.args
        specs = self.program.graph_signature.output_specs
        for spec, result in zip(specs, results, strict=True):  # type: ignore[arg-type] # a tuple of nodes
            if spec.kind is OutputKind.USER_OUTPUT:
                return self.values.get(result)
        return None

    def _refuse_changed_buffers(self) -> None:
        for spec in self.program.graph_signature.output_specs:
            if spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.USER_INPUT_MUTATION):
                why = "is changed while the model runs: the next sample would be computed differently"
                target = spec.target or "a buffer"
                self.problems[(target, "")] = Problem(target, why, "make the model a function of its input")


def _class(where: Origin) -> str:
    return where.module.rpartition(".")[2] if where.library else ""


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value
