"""Files that do the same have one meaning, whichever Python reads them; others have another."""

import pytest

from stages.identity.code_meaning import meaning


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "# why\nx = 1  # so"),
        ("def f(a):\n    x: int = 1", "def f(a: str) -> int:\n    'Says.'\n    x: float = 1"),
        ("class A:\n    x: int", "class A:\n    'Says.'\n\n    x: int"),
        ("K = 1", "K = 1\n'What it is.'"),
        ("from typing import T", "from typing import T\nif TYPE_CHECKING:\n    from model import griffin"),
        ("x = f'a{b}' 'c'", "x = f'a{b}c'"),
    ],
    ids=[
        "comment",
        "docstring, annotations",
        "of a class",
        "words below a constant",
        "types only",
        "one f-string",
    ],
)
def test_what_does_nothing_means_nothing(one, other):
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = None", "x = ..."),
        ("x = f'{a}b'", "x = f'b{a}'"),
        ("class A:\n    x: int", "class A:\n    x: str"),
        ("def f():\n    class A:\n        x: int", "def f():\n    class A:\n        x: str"),
        ("x = {**a, 1: 2}", "x = {1: 2, **a}"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
    ],
)
def test_what_does_something_else_means_something_else(one, other):
    assert meaning(one).text != meaning(other).text


def test_imports_are_named_wherever_they_stand():
    found = meaning(
        "import a.b\nfrom c import d\ndef f():\n    from e.g import h\nif TYPE_CHECKING:\n    import z"
    )
    assert found.names == ["a.b", "c", "c.d", "e.g", "e.g.h"]


def test_the_text_does_not_depend_on_what_python_prints_of_a_tree():
    """`ast.dump` has other fields in 3.12 and 3.13, and `repr` other escapes."""
    assert (
        meaning("def f(a, b=None):\n    return [a, '\\u00e9']").text
        == "Module(body=[FunctionDef(name='f', args=arguments(args=[arg(arg='a'), arg(arg='b')],"
        " defaults=[Constant()]), body=[Return(value=List(elts=[Name(id='a', ctx=Load()),"
        " Constant(value='\\xe9')], ctx=Load()))])])"
    )
