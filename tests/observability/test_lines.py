from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from tests.observability.watching import sink
from trioakt.observability import json_line, text_line


def as_json(message: str, **extra: object) -> dict[str, Any]:
    """Log something, and return the one line that came of it."""
    with sink(json_line) as lines:
        logger.bind(**extra).info(message)
    (line,) = lines
    assert line.endswith("\n")
    assert line.isascii()
    assert len(line.splitlines()) == 1
    parsed: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
    return parsed


def as_text(message: str, **extra: object) -> str:
    with sink(text_line) as lines:
        logger.bind(**extra).warning(message)
    return lines[0]


@contextmanager
def beside(line_format: Callable[[Mapping[str, Any]], str] | str) -> Generator[list[str]]:
    """Add another sink for the block."""
    lines: list[str] = []
    number = logger.add(lines.append, format=line_format)
    try:
        yield lines
    finally:
        logger.remove(number)


class Hostile:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __repr__(self) -> str:
        raise self._error


def test_a_line_of_json_has_what_is_known_under_its_own_name_and_the_rest_under_extra() -> None:
    line = as_json("paid", actor="/user/ada", correlation_id="order-7", amount=10, tags=("a", "b"))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "message": "paid",
        "logger": __name__,
        "actor": "/user/ada",
        "correlation_id": "order-7",
        "extra": {"amount": 10, "tags": ["a", "b"]},
    }


@settings(max_examples=50)
@given(st.text(), st.text(st.characters()), st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists))
def test_a_line_of_json_stays_one_line_and_json_whatever_is_in_it(message: str, text: str, value: object) -> None:
    line = as_json(message, text=text, value=value)
    assert line["message"] == message
    assert line["extra"]["text"] == text


@given(st.text())
def test_no_text_breaks_out_of_its_line_or_reaches_the_terminal_as_a_command(message: str) -> None:
    first, *others = as_text(message).removesuffix("\n").split("\n")
    assert " WARNING " in first
    assert all(line.startswith("    ") for line in others)
    assert all(category(each) not in {"Cc", "Zl", "Zp"} for line in (first, *others) for each in line if each != "\t")


def test_an_escape_sequence_is_shown_and_a_second_line_indented() -> None:
    assert as_text("a\x1b[31m\r\n2026-01-01 ERROR forged \u202e \x9b").endswith(
        "a\\x1b[31m\\x0d\n    2026-01-01 ERROR forged \\u202e \\x9b\n"
    )


def test_text_names_the_actor_once_and_all_ids() -> None:
    assert as_text("paid", actor="/user/ada", correlation_id="7").endswith(" WARNING  [7] /user/ada: paid\n")
    assert as_text("paid", trace_id="a1", span_id="b2", to="Bob").endswith("paid to=Bob trace_id=a1 span_id=b2\n")
    assert as_text("paid", amount=10, to="Bob\n").endswith(" WARNING  paid amount=10 to=Bob\n    \n")
    assert as_text("/user/ada has started", actor="/user/ada").endswith(" WARNING  /user/ada has started\n")


def test_a_value_whose_repr_raises_is_named_and_harms_nobody() -> None:
    line = as_json("hello", what=Hostile(RuntimeError("no")), deep=[{"key": Hostile(ValueError())}])
    assert line["extra"] == {
        "what": "<unprintable Hostile: RuntimeError>",
        "deep": [{"key": "<unprintable Hostile: ValueError>"}],
    }


def test_what_json_does_not_know_is_shown_by_its_repr() -> None:
    endless: list[object] = []
    endless.append(endless)
    line = as_json("hello", data=b"\x00", number=2**80, nan=float("nan"), endless=endless)
    assert line["extra"] == {
        "data": "b'\\x00'",
        "number": str(2**80),
        "nan": "nan",
        "endless": [[["[[...]]"]]],
    }


def test_a_number_of_ten_thousand_digits_harms_nobody() -> None:
    assert as_json("hello", number=10**10_000)["extra"] == {"number": "<unprintable int: ValueError>"}


def test_huge_values_are_clipped() -> None:
    huge = "x" * 10_000_000
    line = as_json(huge, text=huge, many=list(range(1_000_000)), names={huge: 1})
    assert line["message"] == "x" * 8_000 + "… (9992000 characters more)"
    assert len(json.dumps(line)) < 20_000
    assert len(as_text(huge)) < 9_000


def test_an_exception_is_told_with_its_traceback() -> None:
    with sink(json_line) as lines, beside(text_line) as texts:
        try:
            raise ValueError("no\nmoney")
        except ValueError:
            logger.exception("cannot pay")
    failure = json.loads(lines[0])["failure"]
    assert (failure["type"], failure["text"]) == ("ValueError", "no\nmoney")
    assert failure["traceback"].startswith("Traceback (most recent call last)")
    assert texts[0].endswith("\n    ValueError: no\n    money\n")
    assert "\n    Traceback (most recent call last):\n" in texts[0]


def test_what_looks_like_a_template_or_a_color_is_left_as_it_is() -> None:
    lines: list[str] = []
    number = logger.add(lines.append, format=text_line, colorize=True)
    logger.info("<red>{message}</red> {0} %s")
    logger.remove(number)
    assert lines[0].endswith(" <red>{message}</red> {0} %s\n")
    assert "\x1b[" in lines[0].partition("<red>")[0]


def test_the_formats_do_not_disturb_one_another_or_other_sinks() -> None:
    with sink(json_line) as lines, beside(text_line) as texts, beside("{extra} {message}") as others:
        logger.bind(a=1).info("hello")
    assert json.loads(lines[0])["message"] == "hello"
    assert texts[0].endswith("INFO     hello a=1\n")
    assert others == ["{'a': 1} hello\n"]
