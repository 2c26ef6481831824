"""The arguments of a printed `call(f, ...)`: its parameters, and how each goes into the nest."""

import keyword
from collections.abc import Iterable
from dataclasses import dataclass, field

from autovmap._plan.layers import Layer
from autovmap._plan.plan import CallPlan
from autovmap._plan.steps import Reshape
from autovmap._show.calling import Calling, Passed
from autovmap._show.step_text import Entry, step_lines
from autovmap.errors import SpecError


class Names:
    """Names for what the printed code needs beside the parameters, none of them taken twice."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def fresh(self, *wanted: str) -> str:
        """The first of these names that is free, or the last with underscores behind it."""
        name = next((name for name in wanted if name not in self._taken), wanted[-1])
        while name in self._taken or keyword.iskeyword(name):
            name += "_"
        self._taken.add(name)
        return name


@dataclass(slots=True)
class Arguments:
    """The arguments of a call, sorted by how they go into the nest."""

    plan: CallPlan
    calling: Calling
    names: Names
    direct: list[Passed] = field(default_factory=list)
    """Mapped as they are, by one axis each."""
    flat: list[Passed] = field(default_factory=list)
    """Mapped as a list of their leaves, as JAX's own containers do."""
    variables: dict[str, str] = field(default_factory=dict)
    """By path: what the argument is called inside the nest."""

    def __post_init__(self) -> None:
        for passed in self.calling.passed:
            if not any(row is not None for row in passed.rows):
                continue
            if not self.plan.layers and not any(map(self.changed, passed.rows)):
                continue
            (self.direct if self._is_direct(passed) else self.flat).append(passed)
        for passed in (*self.direct, *self.flat):
            self.variables[passed.path] = self._variable(passed)

    def _variable(self, passed: Passed) -> str:
        if passed.how in ("positional", "keyword"):
            return passed.name
        wanted = passed.key
        if passed.how == "star":
            stars = [one for one in self.calling.passed if one.how == "star"]
            wanted = f"{passed.name}{stars.index(passed)}"
        return self.names.fresh(wanted if wanted.isidentifier() else "value", f"{passed.name}_")

    def changed(self, row: int | None) -> bool:
        """Whether a row is converted, or has steps before it is mapped."""
        return row is not None and (bool(self.plan.before[row]) or self.converted(row))

    def converted(self, row: int) -> bool:
        """Whether a row is to be made a JAX array: vmap hands on NumPy's as they are."""
        numpy = row in self.calling.numpy and not self.plan.before[row]  # each step makes it one
        return numpy or row in self.calling.foreign

    def _is_direct(self, passed: Passed) -> bool:
        if passed.bare:
            return True
        uniform = all(
            len({layer.in_axes[row] for row in passed.rows if row is not None}) == 1
            for layer in self.plan.layers
        )
        whole = all(row is not None and not self.changed(row) for row in passed.rows)
        return passed.builtin and uniform and whole

    def entries(self, layer: Layer) -> list[Entry]:
        """The axes of one layer, in the order in which the nest takes its arguments."""
        found: list[Entry] = []
        if self.flat:
            rows = [row for passed in self.flat for row in passed.rows]
            found.append([None if row is None else layer.in_axes[row] for row in rows])
        for passed in self.direct:
            row = next(row for row in passed.rows if row is not None)
            found.append(layer.in_axes[row])
        return found

    def parameters(self) -> str:
        """The parameters behind `f`, as this way of calling needs them."""
        texts: list[str] = []
        for passed in self.calling.passed:
            if passed.how == "star":
                text = f"*{passed.name}"
            else:
                text = f"**{passed.name}" if passed.how == "keywords" else passed.name
            if text not in texts:
                texts.append(text)
        texts.sort(key=lambda text: text.startswith("**"))
        return "".join(f", {text}" for text in texts)

    def handed(self, leaves: str) -> str:
        """The arguments with which the nest is called."""
        star = [passed for passed in self.calling.passed if passed.how == "star"]
        texts = [leaves] * bool(self.flat)
        direct_stars = sum(passed.how == "star" for passed in self.direct)
        for passed in self.direct:
            if passed.how != "star" or len(star) != direct_stars:
                texts.append(passed.path)
            elif f"*{passed.name}" not in texts:
                texts.append(f"*{passed.name}")
        return ", ".join(texts)

    @property
    def in_order(self) -> bool:
        """Whether the nest takes just the arguments of `f`, in its order and by position."""
        by_position = all(passed.how in ("positional", "star") for passed in self.direct)
        return by_position and tuple(self.direct) == self.calling.passed

    def prepared(self, leaves: str) -> list[str]:
        """Lines that convert what is not mapped as it comes, and do its steps."""
        places = dict[int, str]()
        for number, row in enumerate(row for passed in self.flat for row in passed.rows):
            if row is not None:
                places[row] = f"{leaves}[{number}]"
        places |= {p.rows[0]: p.path for p in self.direct if p.bare and p.rows[0] is not None}
        lines: list[str] = []
        for row in sorted(row for row in places if self.changed(row)):
            place, steps = places[row], self.plan.before[row]
            given = f"jax.numpy.asarray({place})" if self.converted(row) else place
            refuse_symbols(self.plan, row)
            fold = self.names.fresh("fold") if self.plan.fold_in(row) else ""
            lines += step_lines(place, steps, given, fold)
        stars = [p for p in self.direct if p.how == "star" and any(map(self.changed, p.rows))]
        return [*(f"{p.name} = list({p.name})" for p in stars[:1]), *lines]

    def called(self, f: str, values: dict[str, str]) -> str:
        """The call of `f`; `values` has an expression for each path that is not as it came."""
        texts: list[str] = []
        for how in ("positional", "star", "keyword", "keywords"):
            several = [passed for passed in self.calling.passed if passed.how == how]
            untouched = not any(passed.path in values for passed in several)
            if how in ("star", "keywords") and several and untouched:
                texts.append(f"{'*' if how == 'star' else '**'}{several[0].name}")
            else:
                texts += [_argument(p, values.get(p.path, p.path)) for p in several]
        return f"{f}({', '.join(texts)})"


def refuse_symbols(plan: CallPlan, row: int) -> None:
    """Refuse an array that is taken apart into sizes of which several are symbolic."""
    for step in plan.before[row]:
        sizes = step.shape if isinstance(step, Reshape) else ()
        unknown = [size for size in sizes if not isinstance(size, int)]
        if len(unknown) > 1:
            raise SpecError(
                f"{plan.function}: {plan.leaves[row].path} is split into several symbolic sizes "
                f"({', '.join(map(str, unknown))}), for which plain code has no expression; give "
                f"shapes with at most one symbolic size in each composition"
            )


def _argument(passed: Passed, value: str) -> str:
    if not passed.key:
        return value
    if passed.key.isidentifier() and not keyword.iskeyword(passed.key):
        return f"{passed.key}={value}"
    return f"**{{{passed.key!r}: {value}}}"
