"""Every test can fail: somewhere in it something is claimed."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# pytest.raises, assert_allclose and their like; what a fuzz test suppresses leaves all other errors as its claim.
CLAIMS = ("raises", "warns", "fail", "suppress")


def claims(function: ast.FunctionDef, others: dict[str, ast.FunctionDef]) -> bool:
    """Whether a function, or one of its module that it calls, asserts, raises, or must not raise."""
    for node in ast.walk(function):
        if isinstance(node, (ast.Assert, ast.Raise)):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name.startswith("assert_") or name in CLAIMS or any(word.arg == "check" for word in node.keywords):
                return True
            if name in others and name != function.name and claims(others[name], others):
                return True
    return False


def idle_tests(text: str) -> list[str]:
    functions = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    return [name for name, node in functions.items() if name.startswith("test_") and not claims(node, functions)]


@pytest.mark.parametrize("path", sorted(HERE.rglob("test_*.py")), ids=lambda path: path.name)
def test_every_test_claims_something(path: Path) -> None:
    assert idle_tests(path.read_text()) == []


def test_a_test_without_a_claim_is_found() -> None:
    text = "def helper():\n    assert 1\n\ndef test_one():\n    helper()\n\ndef test_two():\n    print(1)\n"
    assert idle_tests(text) == ["test_two"]
