"""Ranks that the object of a method knows: asked for at each call, remembered by the answers.

A declaration with such a question says nothing of ranks by itself. For each combination of answers
there is an engine of its own, under the declaration with the answers in the questions' places; so
plans and compiled programs are found as fast as those of fixed ranks.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol, Self

import jax

from autovmap._bind.kinds import is_traced
from autovmap._bind.trees import one_level
from autovmap._cache import BoundedCache
from autovmap._spec.ranks import FromSelf, Tree, leaves_of, plain
from autovmap._spec.reading import read_rank
from autovmap._spec.spec import Spec
from autovmap.errors import SpecError

ENGINES = 64
"""For how many combinations of answers a declaration is kept."""


class Answered(Protocol):
    """The part of an engine that is asked here."""

    function: Any
    signature: inspect.Signature
    skip_first: bool

    def answered(self, answers: Mapping[FromSelf, Tree]) -> Self:
        """The engine with answers in the questions' places."""
        ...


class ObjectRanks:
    """What one declaration asks the object for, each with the parameter that it first stands at."""

    def __init__(self, spec: Spec) -> None:
        self._function = spec.function
        self._parameters: dict[FromSelf, str] = {}
        for parameter in spec.parameters:
            for leaf in leaves_of(parameter.rank):
                if isinstance(leaf, FromSelf):
                    self._parameters.setdefault(leaf, parameter.name)
        self._engines: BoundedCache[Any] = BoundedCache(ENGINES)

    @classmethod
    def of(cls, spec: Spec) -> "ObjectRanks | None":
        """What a declaration asks for, if anything."""
        return cls(spec) if spec.from_self else None

    def engine(self, engine: Answered, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The engine for a call's object.

        Raises:
            SpecError: there is no object to ask, or its answer is not a rank.
        """
        # On the path of every call: no frame, and no test of an answer, that is not needed.
        instance = args[0] if args and engine.skip_first else self._instance(engine, kwargs)
        answers: list[Any] = []
        for question in self._parameters:
            answer = self._ask(question, instance)
            answers.append(answer if type(answer) is int else self._read(question, answer))
        key = tuple(answers)
        found = self._engines.find(key)  # ints and frozen trees
        if found is None:
            trees = {
                question: self._read(question, answer)
                for question, answer in zip(self._parameters, answers, strict=True)
            }
            found = self._engines.keep(key, engine.answered(trees))
        return found

    def engines(self) -> tuple[Any, ...]:
        """The engines of all answers so far."""
        return self._engines.values()

    def _instance(self, engine: Answered, kwargs: Mapping[str, Any]) -> Any:
        """The object of a bound method, or of a call that names it."""
        if not engine.skip_first:
            if inspect.ismethod(engine.function):
                return engine.function.__self__
            raise self.no_object()
        first = next(iter(engine.signature.parameters))
        if first not in kwargs:
            raise TypeError(f"{self._function}() missing a required argument: {first!r}")
        return kwargs[first]

    def _ask(self, question: FromSelf, instance: Any) -> Any:
        try:
            return question.function(instance)
        except jax.errors.JAXTypeError as error:
            raise SpecError(self._traced(question)) from error
        except Exception as error:
            error.add_note(
                f"raised by the function that gives the base rank of {self._parameters[question]}"
            )
            raise

    def _read(self, question: FromSelf, answer: Any) -> Tree:
        if is_traced(answer):
            raise SpecError(self._traced(question))
        path = f"{self._function}(): base rank {self._parameters[question]}, from self"
        found = read_rank(answer, path, one_level)
        if any(isinstance(leaf, FromSelf) for leaf in leaves_of(found)):
            raise SpecError(f"{path}: the function returned another function; return ranks")
        return found

    def _traced(self, question: FromSelf) -> str:
        return (
            f"{self._function}(): base rank {self._parameters[question]}, from self: it depends on "
            f"the values of an array that is traced here, as in a compiled call. A rank can depend "
            f"only on what is static in self: shapes, dtypes, and fields that are not arrays"
        )

    def no_object(self) -> SpecError:
        """What to say where there is no object to ask."""
        name = next(iter(self._parameters.values()))
        return SpecError(
            f"{self._function}(): base rank {name}: got a function. A function is for methods, "
            f"whose object knows the rank, as in @auto_vmap({name}=lambda self: self.ndim); "
            f"{self._function} is not a method, so give {name} a rank"
        )


def from_object(spec: Spec) -> tuple[str, ...]:
    """What a plan says of ranks that the object answered.

    One line for each parameter, such as "x: rank 2, from self".
    """
    ranks = {parameter.name: parameter.rank for parameter in spec.parameters}
    first = spec.parameters[0].name if spec.parameters else ""
    return tuple(f"{name}: rank {plain(ranks[name])!r}, from {first}" for name in spec.from_self)
