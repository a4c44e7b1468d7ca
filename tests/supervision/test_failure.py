"""A failure is described safely, whatever the exception does."""

from __future__ import annotations

import pickle
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioakt.supervision import Failure


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NotText(Exception):
    def __str__(self) -> str:
        text: Any = 7
        return cast("str", text)


class Opaque:
    """A note or an argument that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def raised(error: BaseException) -> BaseException:
    """Give an exception a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def test_a_failure_says_what_went_wrong_and_where() -> None:
    error = raised(KeyError("name"))
    failure = Failure.of(error)
    assert (failure.type_name, failure.text, failure.exception) == ("KeyError", "'name'", error)
    assert failure.traceback_text.startswith("Traceback")
    assert "in raised" in failure.traceback_text
    assert str(failure) == "KeyError: 'name'"


def test_the_type_name_of_a_class_of_users_has_its_module() -> None:
    assert Failure.of(NotText()).type_name == f"{__name__}.NotText"


def test_the_traceback_has_the_causes() -> None:
    error = ValueError("second")
    error.__cause__ = raised(KeyError("first"))
    text = Failure.of(raised(error)).traceback_text
    assert "KeyError: 'first'" in text
    assert "direct cause" in text
    assert "ValueError: second" in text


@pytest.mark.parametrize("error", [Unprintable(), NotText(), ValueError(Opaque()), KeyError(Opaque())])
def test_an_exception_that_cannot_be_shown_harms_nobody(error: Exception) -> None:
    failure = Failure.of(raised(error))
    assert type(error).__name__ in failure.type_name
    assert isinstance(failure.text, str)
    assert isinstance(failure.traceback_text, str)
    assert failure.exception is error
    assert str(failure)
    assert repr(failure)


def test_a_cause_that_cannot_be_shown_harms_nobody() -> None:
    error = ValueError("fine")
    error.__cause__ = raised(Unprintable())
    failure = Failure.of(raised(error))
    assert failure.text == "fine"
    assert failure.traceback_text


def test_notes_that_cannot_be_shown_harm_nobody() -> None:
    error = ValueError("fine")
    error.__notes__ = [Opaque()]  # type: ignore[list-item]  # pyright: ignore[reportAttributeAccessIssue]
    assert Failure.of(raised(error)).text == "fine"


def test_ten_megabytes_of_text_are_cut() -> None:
    failure = Failure.of(raised(ValueError("x" * 10_000_000)))
    assert len(failure.text) < 2_100
    assert failure.text.startswith("x" * 2_000)
    assert "9998000 characters more" in failure.text
    assert len(failure.traceback_text) < 20_100


def test_a_deep_recursion_has_a_short_traceback() -> None:
    def recurse(depth: int) -> None:
        if not depth:
            raise ValueError("deep down")
        recurse(depth - 1)

    with pytest.raises(ValueError, match="deep down") as caught:
        recurse(500)
    failure = Failure.of(caught.value)
    assert len(failure.traceback_text) < 20_100
    assert failure.traceback_text.rstrip().endswith("ValueError: deep down")


def test_an_exception_that_was_never_raised_is_described_too() -> None:
    assert Failure.of(ValueError("made only")).text == "made only"


def test_exceptions_that_cause_each_other_are_described() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert Failure.of(raised(first)).text == "first"


def test_a_group_shows_its_members() -> None:
    text = Failure.of(raised(ExceptionGroup("several", [KeyError("a"), OSError("b")]))).traceback_text
    assert "KeyError: 'a'" in text
    assert "OSError: b" in text


def test_a_failure_is_a_frozen_value_and_the_exception_is_no_part_of_it() -> None:
    first, second = Failure.of(ValueError("same")), Failure.of(ValueError("same"))
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.text = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_failure_without_its_exception_can_be_sent() -> None:
    failure = attrs.evolve(Failure.of(raised(Unprintable())), exception=None)
    assert pickle.loads(pickle.dumps(failure)) == failure


@given(st.text())
def test_a_short_text_is_kept_as_it_is(text: str) -> None:
    assert Failure.of(ValueError(text)).text == text


@given(st.text(min_size=2_001, max_size=4_000))
def test_a_long_text_keeps_its_beginning(text: str) -> None:
    failure = Failure.of(ValueError(text))
    assert failure.text[:2_000] == text[:2_000]
    assert len(failure.text) < 2_100
