"""NumPy's gufunc signatures, read from text: `(m?,n),(n,p?)->(m?,p?)`.

The grammar is that of NumPy's generalized universal functions and NEP 20: names, fixed sizes,
optional dims by `?`, several outputs, blanks anywhere. Its `|1` is refused, as NEP 20 defers it.

Sources: https://numpy.org/doc/stable/reference/c-api/generalized-ufuncs.html and
https://numpy.org/neps/nep-0020-gufunc-signature-enhancement.html
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from autovmap._spec.ranks import CoreDim, core_text
from autovmap.errors import SpecError

Operand: TypeAlias = tuple[CoreDim, ...]


@dataclass(frozen=True, slots=True)
class Gufunc:
    """A signature: the core dims of each operand and of each output."""

    text: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...] | None
    """None where dots stand for them (`(n)->...`): nothing is said of the result."""

    def __str__(self) -> str:
        inputs, outputs = (
            "..." if side is None else ",".join(map(core_text, side))
            for side in (self.inputs, self.outputs)
        )
        return f"{inputs}->{outputs}"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    at: int


_TOKENS = re.compile(r"->|\.\.\.|[(),?|]|[0-9]+|[^\W\d]\w*|\S")
_BLANK = re.compile(r"\s")
_MOST_DIGITS = 18


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKENS.finditer(text):
        yield _Token(found.group(), found.start())


def caret(text: str, at: int | None) -> str:
    """A text with a caret under one of its places.

    >>> print(caret("(m,n)->(m)", 3))
      (m,n)->(m)
         ^
    """
    return f"  {_BLANK.sub(' ', text)}\n  {' ' * (at or 0)}^"


def read_gufunc(text: str, open_outputs: bool = False) -> Gufunc:
    """Read a signature; with `open_outputs` dots may stand for the outputs.

    >>> str(read_gufunc(" (m?, n),(n,p?) -> (m?,p?)"))
    '(m?,n),(n,p?)->(m?,p?)'

    Raises:
        SpecError: the text is not a signature; a caret shows where.
    """
    return _Parser(text, SIGNATURE).signature(open_outputs)


def read_core_shape(text: str, path: str) -> Operand:
    """Read the core shape of one argument or leaf, written as one operand of a signature.

    >>> read_core_shape("(n, 3)", "x")[0].name
    'n'

    Raises:
        SpecError: the text is not a core shape; a caret shows where.
    """
    return _Parser(text, CORE_SHAPE, f"{path}: ").core_shape()


def agreeing(dims: Iterable[CoreDim], function: str) -> None:
    """Refuse a dim that is optional in one place of a declaration and not in another.

    Raises:
        SpecError: one is; a caret shows where.
    """
    known: dict[str, CoreDim] = {}
    for dim in dims:
        name = dim.name or str(dim.size)
        first = known.setdefault(name, dim)
        if first.optional != dim.optional and None not in (first.text, dim.text):
            places = "".join(f"{caret(x.text, x.at)}\n" for x in (first, dim) if x.text)
            raise SpecError(
                f"{function}(): {name!r} is optional (?) in one place and not in another\n{places}"
                f"Dims with the same name are dropped together; write the ? in both places, or in "
                f"neither"
            )


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a text is to be: a signature, or the core shape of one argument."""

    name: str
    example: str


SIGNATURE = _Kind(
    "a valid gufunc signature",
    "A signature is written as for NumPy's gufuncs: (m,n),(n)->(m), where () is a scalar",
)
CORE_SHAPE = _Kind(
    "a valid core shape", "A core shape is written like one operand of a signature: (n,3)"
)


class _Parser:
    """A descent through the grammar, one token ahead."""

    def __init__(self, text: str, kind: _Kind, opening: str = "") -> None:
        self._text = text
        self._kind = kind
        self._opening = opening
        self._tokens = [*_tokens(text), _Token("", len(text.rstrip()))]
        self._next = 0
        self._optional: dict[str, bool] = {}

    def signature(self, open_outputs: bool) -> Gufunc:
        inputs = () if self._peek().text == "->" else self._operands()
        self._take("->", "between the inputs and the outputs")
        dots = open_outputs and self._peek().text == "..."
        self._next += dots
        outputs = None if dots else self._operands()
        if self._peek().text:
            raise self._error("expected the end of the signature, or a comma and another output")
        return Gufunc(self._text, inputs, outputs)

    def core_shape(self) -> Operand:
        dims = self._operand()
        if self._peek().text:
            raise self._error("expected its end: it is for one argument or leaf")
        return dims

    def _operands(self) -> tuple[Operand, ...]:
        found = [self._operand()]
        while self._peek().text == ",":
            self._next += 1
            found.append(self._operand())
        return tuple(found)

    def _operand(self) -> Operand:
        self._take("(", "to open an operand's core dims")
        dims: list[CoreDim] = []
        if self._peek().text != ")":
            dims.append(self._dim())
            while self._peek().text == ",":
                self._next += 1
                dims.append(self._dim())
        if self._peek().text in tuple("+-*/"):
            raise self._error("sizes are names or numbers: give this one a name of its own")
        self._take(")", "to close an operand's core dims")
        return tuple(dims)

    def _dim(self) -> CoreDim:
        token = self._peek()
        size = self._size(token)
        if size is None and not token.text.isidentifier():
            raise self._error("expected the name or the size of a core dim")
        self._next += 1
        optional = self._peek().text == "?"
        self._next += optional
        if self._peek().text == "|":
            raise self._error(
                "|1 (a core dim that may stretch) is not supported: NEP 20 defers it, and "
                "NumPy does not have it"
            )
        key = token.text if size is None else str(size)
        if self._optional.setdefault(key, optional) != optional:
            raise self._error(
                f"{token.text!r} is optional (?) in one place and not in another; write the ? in "
                f"all places, or in none",
                token,
            )
        name = None if size is not None else token.text
        return CoreDim(name, size, optional, token.at, self._text)

    def _size(self, token: _Token) -> int | None:
        """A fixed size: positive, as NumPy has it, and one that an array can have."""
        if not (token.text.isascii() and token.text.isdigit()):
            return None
        if len(token.text) > _MOST_DIGITS or not int(token.text):
            raise self._error("a fixed size is a positive number of at most 18 digits")
        return int(token.text)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str, why: str) -> None:
        if self._peek().text != text:
            raise self._error(f"expected {text!r} {why}")
        self._next += 1

    def _error(self, problem: str, token: _Token | None = None) -> SpecError:
        token = self._peek() if token is None else token
        return SpecError(
            f"{self._opening}not {self._kind.name}: {problem}\n{caret(self._text, token.at)}\n"
            f"{self._kind.example}"
        )
