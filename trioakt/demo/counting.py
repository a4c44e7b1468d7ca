"""What is counted in one source text; worker processes do nothing else."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

FAULTS: tuple[type[Exception], ...] = (SyntaxError, ValueError, OSError, RecursionError, MemoryError)
"""What a file may raise; anything else is a bug."""


class Figures(NamedTuple):
    """What was counted, in one file or in many."""

    files: int = 0
    lines: int = 0
    classes: int = 0
    functions: int = 0
    async_functions: int = 0
    imports: int = 0


def total(many: Iterable[Figures]) -> Figures:
    """Add figures up."""
    return Figures(*map(sum, zip(*many, strict=True)))


def count(source: bytes) -> Figures:
    """Count what one source text is made of.

    Raises:
        SyntaxError, ValueError: It is not Python, or its encoding is not what it says.
        RecursionError, MemoryError: It is nested too deep for the parser.
    """
    kinds = Counter(map(type, _statements(ast.parse(source))))
    return Figures(
        files=1,
        lines=len(source.splitlines()),
        classes=kinds[ast.ClassDef],
        functions=kinds[ast.FunctionDef],
        async_functions=kinds[ast.AsyncFunctionDef],
        imports=kinds[ast.Import] + kinds[ast.ImportFrom],
    )


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Go through statements and the blocks inside them; expressions, most of any tree, hold nothing to count."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "handlers", "cases", "orelse", "finalbody"):
            waiting.extend(getattr(node, block, ()))


def count_file(directory: Path, file: PurePath) -> Figures:
    """Count one file below a directory; this is what the worker processes do.

    Raises:
        SyntaxError, ValueError, OSError, RecursionError, MemoryError: As ``count`` and reading a file; the text names
            the file, and nothing else is kept of the error.
    """
    warnings.simplefilter("ignore")  # the parser's, about what others have written
    try:
        return count((directory / file).read_bytes())
    except FAULTS as error:
        kind = next(kind for kind in FAULTS if isinstance(error, kind))
        raise kind(f"{file}: {_text(error)}") from None


def _text(error: Exception) -> str:
    match error:
        case SyntaxError(msg=text, lineno=int(line)) if line > 0:
            return f"{text} (line {line})"
        case SyntaxError(msg=text) | OSError(strerror=str(text)):
            return text
        case _:
            return str(error) or "no reason given"
