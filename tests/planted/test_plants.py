"""The planted mistakes are such: one place is changed, and what it does."""

import ast

import pytest

from planted.plants import picked, planted, plants

SOURCE = '''
"""A module; 1 is no place for a mistake."""
LIMIT: "list[1]" = 1


def function(x: int = 2, *rest):
    """Return 1."""
    if x < 3 and not rest:
        raise ValueError(f"{x + 1}")
    return x + 1 if x is None else f"{x}" + "text"


def nothing():
    return None
'''


def test_the_places_are_those_of_code_in_functions() -> None:
    found = {(plant.before, plant.after) for plant in plants(SOURCE)}
    assert found == {
        ("2", "3"),
        ("if x < 3 and (not rest):", "if not (x < 3 and (not rest)):"),
        ("x < 3 and (not rest)", "x < 3 or not rest"),
        ("x < 3", "x <= 3"),
        ("3", "4"),
        ("not rest", "rest"),
        ("return x + 1 if x is None else f'{x}' + 'text'", "return"),
        ("x + 1", "x - 1"),
        ("1", "2"),
        ("x is None", "x is not None"),
    }


def test_each_changes_one_line() -> None:
    lines = ast.unparse(ast.parse(SOURCE)).splitlines()
    for plant in plants(SOURCE):
        changed = planted(SOURCE, plant).splitlines()
        assert len(changed) == len(lines)
        assert sum(one != other for one, other in zip(lines, changed, strict=True)) == 1


@pytest.mark.parametrize(
    ("before", "after", "result"), [("x < 3", "x <= 3", True), ("3", "4", True), ("2", "3", False)]
)
def test_it_does_another_thing(before: str, after: str, result: bool) -> None:
    source = "def small(x=2):\n    return x < 3\n"
    (plant,) = [p for p in plants(source) if (p.before, p.after) == (before, after)]
    names: dict[str, object] = {}
    exec(planted(source, plant), names)
    assert names["small"](*([3] if result else [])) is result  # type: ignore[operator]


def test_the_same_are_picked_again() -> None:
    sources = {f"{name}.py": SOURCE for name in "abcdef"}
    assert picked(sources, 3, 0) == picked(sources, 3, 0)
    assert list(picked(sources, 3, 0)) == ["a.py", "c.py", "e.py"]
    assert any(picked(sources, 3, seed) != picked(sources, 3, 0) for seed in range(1, 5))
