"""Strategies that make up types, values of them, and attrs classes with such fields."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, Optional, Union
from uuid import UUID

import attrs
from hypothesis import strategies as st

from tests.codec.shapes import Access, Circle, Color, Dog, Level, Shape, made

Values = st.SearchStrategy[Any]


class Sample(NamedTuple):
    """A type, its values, and whether these are hashable."""

    kind: Any
    values: Values
    hashable: bool = True


ZONES = st.one_of(st.none(), st.just(UTC), st.integers(-1439, 1439).map(lambda each: timezone(timedelta(minutes=each))))
LEAVES = [
    Sample(type(None), st.none()),
    Sample(bool, st.booleans()),
    Sample(int, st.integers() | st.integers(-(2**70), 2**70)),
    Sample(float, st.floats(allow_nan=False)),
    Sample(str, st.text()),
    Sample(bytes, st.binary()),
    Sample(complex, st.complex_numbers(allow_nan=False)),
    Sample(UUID, st.uuids()),
    Sample(Decimal, st.decimals(allow_nan=False)),
    Sample(datetime, st.datetimes(timezones=ZONES)),
    Sample(date, st.dates()),
    Sample(time, st.times(timezones=ZONES)),
    Sample(timedelta, st.timedeltas()),
    Sample(Path, st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(Path)),
    Sample(Color, st.sampled_from(Color)),
    Sample(Level, st.sampled_from(Level)),
    Sample(Access, st.sampled_from([Access.READ, Access.READ | Access.WRITE])),
    Sample(Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    Sample(Shape, st.builds(Circle, st.floats(allow_nan=False))),
    Sample(Dog, st.builds(Dog, st.text(), st.frozensets(st.text()))),
]

_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.uuids()
ANYTHING: Values = st.recursive(
    _PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers(2, 9), inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


@st.composite
def containers(draw: st.DrawFn, inner: st.SearchStrategy[Sample]) -> Sample:
    first, second = draw(inner), draw(inner)
    one: Any = first.kind
    other: Any = second.kind
    some = st.lists(first.values, max_size=3)
    ways = [
        Sample(list[one], some, False),
        Sample(tuple[one, ...], some.map(tuple), first.hashable),
        Sample(tuple[one, other], st.tuples(first.values, second.values), first.hashable and second.hashable),
        Sample(Optional[one], st.none() | first.values, first.hashable),  # noqa: UP045
        _nested([first, second]),
    ]
    if first.hashable:
        ways += [
            Sample(set[one], st.sets(first.values, max_size=3), False),
            Sample(frozenset[one], st.frozensets(first.values, max_size=3)),
            Sample(dict[one, other], st.dictionaries(first.values, second.values, max_size=3), False),
        ]
    drawn: Sample = draw(st.sampled_from(ways))
    return drawn


@st.composite
def unions(draw: st.DrawFn) -> Sample:
    members = draw(st.lists(st.sampled_from(LEAVES[:17]), min_size=2, max_size=4, unique_by=lambda each: each.kind))
    return Sample(Union[tuple(each.kind for each in members)], st.one_of([each.values for each in members]))  # noqa: UP007


def _nested(drawn: list[Sample]) -> Sample:
    """Make an attrs class with these fields that is not registered."""
    fields = {f"{'_' * (index % 2)}field{index}": attrs.field(type=each.kind) for index, each in enumerate(drawn)}
    cls = attrs.make_class("Nested", fields, frozen=True)
    values = st.builds(cls, **{f"field{index}": each.values for index, each in enumerate(drawn)})
    return Sample(cls, values, all(each.hashable for each in drawn))


samples: st.SearchStrategy[Sample] = st.recursive(
    st.sampled_from(LEAVES) | unions() | st.just(Sample(Any, ANYTHING, False)), containers, max_leaves=4
)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """Make a message class and return an object of it."""
    drawn = draw(st.lists(samples, max_size=4))
    cls = made("test.generated", **{f"field{index}": each.kind for index, each in enumerate(drawn)})
    return cls(*(draw(each.values) for each in drawn))
