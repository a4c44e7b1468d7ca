"""A fingerprint tells two shapes apart, and is the same wherever the shape is the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from tests.codec import shapes
from tests.codec.shapes import Color, Level, Money, Page, Square, Tree, Unions, made
from trioakt import CodecError
from trioakt.codec import fingerprint

ROOT = Path(__file__).parent.parent.parent


def _of(version: int = 1, **types: Any) -> str:
    return fingerprint(made("test.print", version, **types))


def test_it_is_short_text() -> None:
    assert len(fingerprint(Unions)) == 16
    assert int(fingerprint(Unions), 16)


def test_it_is_the_same_in_another_process() -> None:
    program = (
        "from tests.codec import shapes; from trioakt.codec import fingerprint\n"
        "print(fingerprint(shapes.Objects), fingerprint(shapes.Unions), fingerprint(shapes.Containers))"
    )
    expected = " ".join(fingerprint(each) for each in (shapes.Objects, shapes.Unions, shapes.Containers))
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == expected


SHAPES: dict[str, dict[str, Any]] = {
    "int": {"a": int},
    "str": {"a": str},
    "another name": {"b": int},
    "one more": {"a": int, "b": int},
    "another version": {"version": 2, "a": int},
    "any": {"a": Any},
    "none": {"a": type(None)},
    "optional": {"a": int | None},
    "list": {"a": list[int]},
    "list of str": {"a": list[str]},
    "tuple": {"a": tuple[int, ...]},
    "pair": {"a": tuple[int, int]},
    "enum": {"a": Color},
    "another enum": {"a": Level},
    "literal": {"a": Literal["a", "b"]},
    "another literal": {"a": Literal["a", Color.RED]},
    "class": {"a": Money},
    "recursive class": {"a": Tree},
    "generic": {"a": Page[int]},
    "generic of str": {"a": Page[str]},
    "message": {"a": Square},
}


@pytest.mark.parametrize("name", SHAPES)
def test_another_shape_has_another(name: str) -> None:
    others = [_of(**SHAPES[other]) for other in SHAPES if other != name]
    assert _of(**SHAPES[name]) not in others
    assert _of(**SHAPES[name]) == _of(**SHAPES[name])


def test_a_change_deep_inside_makes_another() -> None:
    inner: Any = attrs.make_class("Inner", {"a": attrs.field(type=int)})
    changed: Any = attrs.make_class("Inner", {"a": attrs.field(type=int), "b": attrs.field(type=int, default=0)})
    assert _of(a=list[inner]) != _of(a=list[changed])


def test_the_order_of_fields_and_of_a_union_does_not_count() -> None:
    assert _of(a=int, b=str) == _of(b=str, a=int)
    assert _of(a=int | str) == _of(a=str | int)


def test_only_a_registered_class_has_one() -> None:
    with pytest.raises(CodecError, match="@message"):
        fingerprint(Money)


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    with pytest.raises(CodecError, match="NoSuchName"):
        _of(a="NoSuchName")
