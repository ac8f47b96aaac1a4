"""Every test can fail: it claims something whatever it finds, not only under a condition or in a loop over nothing."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# pytest.raises, assert_allclose and their like; what a fuzz test suppresses leaves all other errors as its claim.
CLAIMS = ("raises", "warns", "fail", "suppress")
# Calls that give as many items as they are given.
AS_MANY = ("enumerate", "zip", "sorted", "list", "tuple", "set", "reversed", "items", "values", "keys", "ndenumerate")


class Module:
    """The functions and constants of a test module, by name."""

    def __init__(self, text: str) -> None:
        tree = ast.parse(text)
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self.constants = constants(tree.body)

    def idle_tests(self) -> list[str]:
        return [name for name in self.functions if name.startswith("test_") and not self.claims(name)]

    def claims(self, name: str, above: tuple[str, ...] = ()) -> bool:
        """Whether a function certainly asserts, raises, or must not raise."""
        if name in above:
            return False
        body = self.functions[name].body
        return Body(self, self.constants | constants(body), (*above, name)).claims(body)


@dataclass(frozen=True)
class Body:
    """A function's statements: the module they stand in, the constants they know, the functions they are called by."""

    module: Module
    constants: dict[str, ast.expr | None]
    above: tuple[str, ...]

    def claims(self, nodes: Iterable[ast.AST]) -> bool:
        """Whether one of the statements or expressions claims something each time that all of them are reached."""
        return any(self._claims(node) for node in nodes)

    def _claims(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Assert):
            if isinstance(node.test, ast.Call) and called(node.test) == "all" and isinstance(node.test.func, ast.Name):
                return self.has_items(node.test.args[0])
            return not isinstance(node.test, ast.Constant)
        if isinstance(node, ast.For):
            return self.has_items(node.iter) and self.claims(node.body)
        if isinstance(node, ast.If):
            return self.claims(node.body) and self.claims(node.orelse)
        if isinstance(node, ast.While | ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.ExceptHandler):
            return False
        if isinstance(node, ast.Call):
            name = called(node)
            if name.startswith("assert_") or name in CLAIMS or any(word.arg == "check" for word in node.keywords):
                return True
            if name in self.module.functions and self.module.claims(name, self.above):
                return True
        return self.claims(ast.iter_child_nodes(node))

    def has_items(self, node: ast.expr | None) -> bool:
        """Whether what a loop goes through is written down with an item in it."""
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return any(self.has_items(item.value) if isinstance(item, ast.Starred) else True for item in node.elts)
        if isinstance(node, ast.Dict):
            return bool(node.keys)
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and node.value != ""
        if isinstance(node, ast.Name):
            return self.has_items(self.constants.get(node.id))
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            return all(self.has_items(part.iter) and not part.ifs for part in node.generators)
        if isinstance(node, ast.Call) and called(node) in AS_MANY:
            owner = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            cut = called(node) == "zip" and not node.keywords  # strict=...
            return (all if cut else any)(self.has_items(item) for item in (*owner, *node.args))
        return isinstance(node, ast.Call) and called(node) == "range" and not isinstance(node.args[-1], ast.Call)


def constants(body: list[ast.stmt]) -> dict[str, ast.expr | None]:
    """Values of the names that statements of a module or a function bind; nothing where two of them do."""
    found: dict[str, ast.expr | None] = {}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = None if target.id in found else getattr(node, "value", None)
    return found


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("path", sorted(HERE.rglob("test_*.py")), ids=lambda path: path.name)
def test_every_test_claims_something(path: Path) -> None:
    assert Module(path.read_text()).idle_tests() == []


@pytest.mark.parametrize(
    ("claims", "body"),
    [
        (True, "helper()"),
        (True, "assert found"),
        (True, "with pytest.raises(ValueError):\n        find()"),
        (True, "np.testing.assert_allclose(found, 1.0)"),
        (True, "for item in (1, 2):\n        assert item"),
        (True, "for one, item in zip(found, KNOWN, strict=True):\n        assert item"),
        (True, "if found:\n        assert found == 1\n    else:\n        assert found is None"),
        (False, "print(1)"),
        (False, "assert True"),
        (False, "loop(found)"),
        (False, "assert all(item > 0 for item in found)"),
        (False, "for item in found:\n        assert item"),
        (False, "for one, item in zip(found, KNOWN):\n        assert item"),
        (False, "for item in NOTHING:\n        assert item"),
        (False, "for item in (item for item in KNOWN if item > 2):\n        assert item"),
        (False, "if found:\n        assert found == 1"),
        (False, "def inner():\n        assert found"),
        (False, "try:\n        find()\n    except ValueError:\n        assert found"),
    ],
)
def test_a_test_that_may_claim_nothing_is_found(claims: bool, body: str) -> None:
    text = f"""
KNOWN = {{"a": 1}}
NOTHING = {{}}

def helper():
    assert find()

def loop(items):
    for item in items:
        assert item

def test_one(found):
    {body}
"""
    assert Module(text).idle_tests() == ([] if claims else ["test_one"])
