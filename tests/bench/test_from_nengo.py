"""The networks that `bench/from_nengo.py` asks for are those that there are."""

import ast
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def test_every_example_is_measured() -> None:
    asked = _assigned(BENCH / "from_nengo.py", "NAMES")
    there = _assigned(BENCH / "peers" / "nengo_networks" / "examples.py", "EXAMPLES")
    assert isinstance(asked, ast.Tuple)
    assert isinstance(there, ast.Dict)
    assert [ast.literal_eval(name) for name in asked.elts] == [ast.literal_eval(name) for name in there.keys if name]


def _assigned(path: Path, name: str) -> ast.expr:
    for node in ast.parse(path.read_text("utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets) and node.value is not None:
            return node.value
    raise AssertionError(name)
