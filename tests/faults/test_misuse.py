"""Random misuse: each attempt ends in the right result, in an error of ours, or in one allowed.

500 attempts in a quick run, 4,000 more in CI, always the same; 20,000 others with `pytest -m long`,
and 120,000 in a deep run. `AUTOVMAP_SEED` repeats them.
"""

import os
from collections import Counter
from typing import Any

import pytest

from autovmap import SpecError, auto_vmap
from autovmap._function import engine as engine_module
from autovmap._plan import broadcast
from autovmap._spec import declaration as spec_module
from conftest import PROFILE, SEED
from faults.misuse.attempt import Allowance, Attempt, Objection, judged
from faults.misuse.generator import KINDS, attempt, tally

FEW = 500
"""Of so few attempts the share of each outcome is a matter of luck, and not asserted."""
COUNT = {"few": 2000, "quick": 4000, "ci": 4000, "long": 20_000, "deep": 120_000}[PROFILE]

SHARES = {
    "ranks": {"result": 0.35, "SpecError": 0.1, "RankError": 0.02, "BatchShapeError": 0.01},
    "leaf": {"result": 0.1, "SpecError": 0.2, "RankError": 0.02, "TypeError, allowed": 0.01},
    "signature": {"result": 0.1, "SpecError": 0.1, "RankError": 0.05, "CoreSizeError": 0.05},
    "pattern": {"result": 0.2, "SpecError": 0.1, "RankError": 0.05},
    "annotation": {"result": 0.2, "SpecError": 0.1, "RankError": 0.01},
    "option": {"result": 0.1, "SpecError": 0.1},
    "chain": {"result": 0.1, "SpecError": 0.2},
    "call": {"result": 0.1, "TypeError, allowed": 0.2},
    "compat": {"result": 0.05, "SpecError": 0.2},
    "decorated": {"SpecError": 0.9},
    "keys": {"result": 0.3, "BatchShapeError": 0.05, "SpecError": 0.02},
    "axes": {"result": 0.3, "RankError": 0.05},
    "extent": {"result": 0.2, "BatchShapeError": 0.05, "SpecError": 0.05},
}
"""Of each kind, the least share of each outcome: a generator that degenerates is noticed."""


def test_misuse() -> None:
    assert sum(tally(0, range(FEW)).values()) == FEW


@pytest.mark.slow
def test_more_misuse() -> None:
    found = tally(SEED, range(FEW, FEW + COUNT))
    print(
        *(f"{kind:12} {outcome:22} {n}" for (kind, outcome), n in sorted(found.items())), sep="\n"
    )
    assert sum(found.values()) == COUNT
    check_shares(found)


@pytest.mark.long
def test_much_misuse() -> None:
    test_more_misuse()


def check_shares(found: Counter[tuple[str, str]]) -> None:
    """Whether each kind of attempt ended in each of its outcomes often enough."""
    for kind, shares in SHARES.items():
        count = sum(n for (k, _), n in found.items() if k == kind)
        for outcome, share in shares.items():
            assert found[kind, outcome] > share * count / 2, (kind, outcome)


def test_every_kind_has_its_shares() -> None:
    kinds = {attempt(0, i).kind for i in range(500)}
    assert kinds == set(SHARES)
    assert len(KINDS) == len(SHARES)


def test_an_attempt_can_be_made_again() -> None:
    assert [attempt(1, i).told for i in range(50)] == [attempt(1, i).told for i in range(50)]


def objected(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, planted: Any) -> str:
    """What the judge says once a mistake is planted in the library."""
    monkeypatch.setattr(owner, name, planted)
    with pytest.raises(Objection, match=r".") as raised:
        tally(0, range(5000))
    assert "of tests/faults/misuse/generator.py" in raised.value.__notes__[0]
    return str(raised.value)


class TestPlanted:
    """Mistakes in the library that the attempts catch."""

    def test_none_finds_its_way_to_another_test(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_module, "checked_ways", lambda *_: None)
        auto_vmap(x=1)(declared_here).bucket().replace(axis_name="i")
        monkeypatch.undo()
        assert "__autovmap__" not in vars(declared_here)  # where a declaration is kept otherwise

    def test_sizes_that_are_not_compared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def largest(leaves: Any, axis: int, *_: Any) -> Any:
            sizes = [leaf.size(axis) for leaf in leaves]
            return max((size for size in sizes if size is not None), default=1)

        said = objected(monkeypatch, broadcast, "_size", largest)
        assert said.startswith(("not refused, though wrong", "a wrong result"))

    def test_ways_that_are_not_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = objected(monkeypatch, engine_module, "checked_ways", lambda *_: None)
        assert "chain [" in said

    def test_an_error_from_within(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any) -> Any:
            raise KeyError("leaf")

        assert objected(monkeypatch, broadcast, "_conflict", broken).startswith("KeyError")

    def test_a_right_use_that_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: Any) -> Any:
            raise SpecError("no")

        assert objected(monkeypatch, spec_module, "check_extent", refused).startswith("refused")


def made(verdict: Any, run: Any, *allowed: Allowance, check: Any = lambda _: None) -> Attempt:
    """An attempt of which the outcome is known."""
    return Attempt("made", verdict, run, check, "made", allowed)


class TestJudge:
    """What the judge objects to."""

    def test_a_wrong_result(self) -> None:
        def check(result: Any) -> None:
            assert result == 2

        assert judged(made("right", lambda: 2, check=check)) == "result"
        with pytest.raises(Objection, match="a wrong result: made"):
            judged(made("open", lambda: 1, check=check))

    def test_an_error_that_is_not_allowed(self) -> None:
        words = Allowance(TypeError, "^these words")
        with pytest.raises(Objection, match="TypeError: other words"):
            judged(made("wrong", lambda: fail(TypeError("other words")), words))
        with pytest.raises(Objection, match="ValueError: these words"):
            judged(made("wrong", lambda: fail(ValueError("these words")), words))
        with pytest.raises(Objection, match="RecursionError"):
            judged(made("open", lambda: fail(RecursionError("deep"))))
        assert judged(made("wrong", lambda: fail(TypeError("these words")), words)) == (
            "TypeError, allowed"
        )

    def test_a_hang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("signal.alarm", lambda seconds: seconds and os.kill(os.getpid(), 14))
        with pytest.raises(Objection, match="Hang: more than 60 seconds"):
            judged(made("open", lambda: sum(range(10**6))))

    def test_a_poor_message(self) -> None:
        with pytest.raises(Objection, match="a poor message"):
            judged(made("wrong", lambda: fail(SpecError("got a BatchTracer"))))


def declared_here(x: Any) -> Any:
    """A function that is declared while a part of the library is replaced, and never else."""
    return x


def fail(error: Exception) -> Any:
    """Raise it."""
    raise error
