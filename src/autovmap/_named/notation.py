"""einx's bracket notation, read from text: `a b [c d], a [c] -> b [c] a`.

Names are axes; `[...]` marks what one example has, its core dims; a number is an axis of that size;
`(a b)` is one dim composed of two axes; `a...` stands for as many axes as there are, and `...` for
axes without names of their own. `->` and `,` may stand inside brackets: `a [b -> c]` says
`a [b] -> a [c]`.

Source: einx 0.4, https://einx.readthedocs.io. Its `+` is refused.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from autovmap.errors import SpecError

ANONYMOUS = "..."
"""The name of the axes of an ellipsis that stands alone."""
DEEPEST, MOST_DIGITS = 32, 18


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a pattern's text; two are equal wherever they are."""

    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: a name, or a number without one. `core` says that it stands in brackets."""

    name: str | None
    size: int | None
    core: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Composed:
    """Axes that lie in one dim, the last the fastest."""

    nodes: tuple["Node", ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Repeat:
    """What an ellipsis repeats, as often as there are axes."""

    nodes: tuple["Node", ...]
    span: Span

    @property
    def free(self) -> bool:
        """Whether it is `[...]`, whatever core dims a leaf has."""
        return is_anonymous(self) and all(axis.core for axis in axes_of(self.nodes))


Node: TypeAlias = Axis | Composed | Repeat
Nodes: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that has been read: for each argument and each result its dims."""

    text: str
    inputs: tuple[Nodes, ...]
    outputs: tuple[Nodes, ...]
    places: tuple[int, ...] = field(default=(), compare=False)
    """Where each argument's part begins, to point at an empty one too."""

    def __str__(self) -> str:
        return self.text


NO_PATTERN = Pattern("", (), ())


def axes_of(nodes: Sequence[Node]) -> Iterator[Axis]:
    """All axes in some nodes, however deep."""
    for node in nodes:
        if isinstance(node, Axis):
            yield node
        else:
            yield from axes_of(node.nodes)


def is_anonymous(node: Repeat) -> bool:
    """Whether a repeat is an ellipsis that stands alone."""
    return any(axis.name == ANONYMOUS for axis in axes_of(node.nodes))


def pointed(text: str, *spans: Span) -> str:
    """A pattern with carets under some of its places.

    >>> print(pointed("a [b] -> a", Span(3, 4)))
      a [b] -> a
         ^
    """
    marks = [" "] * (max(span.end for span in spans) + 1)
    for span in spans:
        marks[span.at : max(span.end, span.at + 1)] = "^" * max(span.end - span.at, 1)
    shown = "".join(c if c.isprintable() else " " for c in text)
    return f"  {shown}\n  {''.join(marks).rstrip()}"


def mistake(text: str, said: str, *spans: Span) -> SpecError:
    """The error for a mistake in a pattern."""
    return SpecError(f"pattern {said}\n{pointed(text, *spans)}")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    span: Span


_TOKEN = re.compile(r"(\s+)|(->|\.\.\.|[()\[\],]|[A-Za-z_][A-Za-z0-9_]*|[0-9]+)")
_PLUS = (
    "has `+`, einx's concatenation, which no vmap can do; concatenate or split the arrays outside "
    "(jnp.concatenate, jnp.split)"
)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            here = Span(at, at + 1)
            if text[at] == "+":
                raise mistake(text, _PLUS, here)
            raise mistake(
                text,
                f"has {text[at]!r}, which has no meaning there; a pattern consists of names, "
                f"numbers, [ ], ( ), `...`, commas and `->`",
                here,
            )
        if match.group(2):
            found.append(_Token(match.group(2), Span(at, match.end())))
        at = match.end()
    return found


Side: TypeAlias = list[Nodes]
Parts: TypeAlias = list[Side]
"""What a part of a pattern says: for each side of `->`, for each operand, nodes."""

CLOSING = {"(": ")", "[": "]"}


class _Parser:
    """Reads tokens from left to right; brackets and parentheses by recursion."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.next = 0
        self.commas: list[int] = []

    def peek(self) -> str:
        return self.tokens[self.next].text if self.next < len(self.tokens) else ""

    def whole(self) -> Parts:
        found = self.sides(core=False, depth=0)
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            raise mistake(self.text, f"closes {token.text!r}, which is not open", token.span)
        return found

    def sides(self, core: bool, depth: int) -> Parts:
        """Operands, up to a closing bracket or the end."""
        sides: Parts = []
        operands: list[Parts] = [self.operand(core, depth)]
        while self.peek() in (",", "->"):
            token = self.tokens[self.next]
            self.next += 1
            if token.text == "->":
                sides += self.spread(operands, list_operands, token.span)
                operands = []
            elif depth == 0 and not sides:
                self.commas.append(token.span.end)
            operands.append(self.operand(core, depth))
        end = Span(len(self.text), len(self.text))
        return sides + self.spread(operands, list_operands, end)

    def operand(self, core: bool, depth: int) -> Parts:
        """What stands between two commas."""
        items: list[Parts] = []
        start = self.tokens[self.next].span if self.peek() else Span()
        last: _Token | None = None
        while self.peek() and self.peek() not in (",", "->", ")", "]"):
            token = self.tokens[self.next]
            if last is not None and last.span.end == token.span.at:
                joined = Span(last.span.at, token.span.end)
                raise mistake(self.text, "needs a space between two axes", joined)
            items.append(self.item(token, core, depth))
            last = self.tokens[self.next - 1]
        return self.spread(items, join_nodes, start)

    def item(self, token: _Token, core: bool, depth: int) -> Parts:
        """An axis or a group, and the ellipsis that may follow at once."""
        self.next += 1
        if token.text == ANONYMOUS:
            axis = Axis(ANONYMOUS, None, core, token.span)
            return [[(Repeat((axis,), token.span),)]]
        found: Parts
        if token.text in CLOSING:
            found = self.group(token, core, depth)
        else:
            found = [[(self.axis(token, core),)]]
        end = self.tokens[self.next - 1].span.end
        if self.peek() == ANONYMOUS and self.tokens[self.next].span.at == end:
            span = Span(token.span.at, self.tokens[self.next].span.end)
            self.next += 1
            return [[(Repeat(nodes, span),) for nodes in side] for side in found]
        return found

    def axis(self, token: _Token, core: bool) -> Node:
        """A name or a number."""
        if not token.text.isdigit():
            return Axis(token.text, None, core, token.span)
        if len(token.text) > MOST_DIGITS:
            raise mistake(self.text, "has a number that is too large to be a size", token.span)
        return Axis(None, int(token.text), core, token.span)

    def group(self, opening: _Token, core: bool, depth: int) -> Parts:
        """The inside of brackets or parentheses."""
        if depth == DEEPEST:
            raise mistake(self.text, f"is nested more than {DEEPEST} deep", opening.span)
        inner = self.sides(core or opening.text == "[", depth + 1)
        if self.peek() != CLOSING[opening.text]:
            if self.peek():
                said = f"closes {opening.text!r} with {self.peek()!r}"
                raise mistake(self.text, said, opening.span, self.tokens[self.next].span)
            raise mistake(self.text, f"opens {opening.text!r} and does not close it", opening.span)
        self.next += 1
        if opening.text == "[":
            return inner
        span = Span(opening.span.at, self.tokens[self.next - 1].span.end)
        return [[(Composed(nodes, span),) for nodes in side] for side in inner]

    def spread(
        self, parts: Sequence[Parts], combine: Callable[[Sequence[Side]], Side | None], where: Span
    ) -> Parts:
        """Combine parts side by side; a part without `->` of its own stands on every side."""
        counts = {len(part) for part in parts if len(part) != 1}
        if len(counts) > 1:
            raise mistake(self.text, "has `->` in several brackets, but not as often", where)
        found: Parts = []
        for i in range(counts.pop() if counts else 1):
            side = combine([part[0] if len(part) == 1 else part[i] for part in parts])
            if side is None:
                raise mistake(self.text, "has commas in several brackets, but not as many", where)
            found.append(side)
        return found


def list_operands(sides: Sequence[Side]) -> Side:
    """Operands one after the other."""
    return [nodes for side in sides for nodes in side]


def join_nodes(sides: Sequence[Side]) -> Side | None:
    """The nodes of one operand; a part without commas of its own stands in every operand."""
    counts = {len(side) for side in sides if len(side) != 1}
    if len(counts) > 1:
        return None
    count = counts.pop() if counts else 1
    return [
        tuple(node for side in sides for node in (side[0] if len(side) == 1 else side[i]))
        for i in range(count)
    ]


def parse(text: str) -> Pattern:
    """Read a pattern's grammar; its rules are checked by `read_pattern`."""
    parser = _Parser(text)
    sides = parser.whole()
    end = Span(len(text), len(text))
    if len(sides) == 1:
        raise mistake(text, "has no `->`; write the result's axes after it", end)
    if len(sides) > 2:
        arrows = [token.span for token in parser.tokens if token.text == "->"]
        raise mistake(text, "has more than one `->`", *arrows[1:])
    places = [0, *parser.commas]
    places = [at + len(text[at:]) - len(text[at:].lstrip()) for at in places]
    return Pattern(text, tuple(sides[0]), tuple(sides[1]), tuple(places))


def text_of(nodes: Sequence[Node]) -> str:
    """Nodes as a pattern has them.

    >>> text_of(parse("a [b (c d)] ... -> a").inputs[0])
    'a [b (c d)] ...'
    """
    words: list[str] = []
    inside = False
    for node in nodes:
        core = all(axis.core for axis in axes_of((node,))) and any(axes_of((node,)))
        if core != inside:
            words.append("[" if core else "]")
        words.append(_word(node, bare=core))
        inside = core
    text = " ".join([*words, "]"] if inside else words)
    return text.replace("[ ", "[").replace(" ]", "]")


def _word(node: Node, bare: bool) -> str:
    match node:
        case Axis(name=name, size=size, core=core):
            text = name or (ANONYMOUS if size is None else str(size))
            return text if bare or not core else f"[{text}]"
        case Composed(nodes=nodes):
            inner = " ".join(_word(n, bare) for n in nodes) if bare else text_of(nodes)
            return f"({inner})"
        case Repeat(nodes=nodes):
            return ANONYMOUS if is_anonymous(node) else f"{_word(nodes[0], bare)}{ANONYMOUS}"
