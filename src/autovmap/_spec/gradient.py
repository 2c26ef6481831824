"""What is known of a function that is the gradient of another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gradient:
    """That a lifted function is `jax.grad` or `jax.value_and_grad` of this one."""

    function: Callable[..., Any]
    argnums: int | tuple[int, ...] = 0
    has_aux: bool = False
    value: bool = False
    """Whether it gives the value too."""
    bound: bool = False
    """Whether `argnums` count without the first argument, the object of a method."""

    def places(self, count: int) -> tuple[int, ...]:
        """Which of so many positional arguments are differentiated; none if not all are there.

        >>> Gradient(print, (0, -1), bound=True).places(4)
        (1, 3)
        """
        argnums = self.argnums if isinstance(self.argnums, tuple) else (self.argnums,)
        count -= self.bound
        if any(not -count <= i < count for i in argnums):
            return ()
        found = tuple(i % count + self.bound for i in argnums)
        return found if len(set(found)) == len(found) else ()

    def result(self, value: Any, aux: Any, gradients: tuple[Any, ...]) -> Any:
        """What the lifted function returns, put together."""
        found = gradients if isinstance(self.argnums, tuple) else gradients[0]
        if self.value:
            return ((value, aux) if self.has_aux else value), found
        return (found, aux) if self.has_aux else found

    def parts(self, result: Any) -> tuple[Any, Any]:
        """What stands before the gradients in a result, and the gradients."""
        if self.value:
            return result
        return (), (result[0] if self.has_aux else result)
