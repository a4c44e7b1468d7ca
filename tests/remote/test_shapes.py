"""Nodes that mean different things by one message type refuse each other, and say which type."""

from __future__ import annotations

import pytest

from trioakt import message
from trioakt.errors import ProtocolError
from trioakt.remote.shapes import check_shapes, shapes


@message(name="tests.shape", version=3)
class Shape:
    sides: int


def test_the_shapes_of_this_process_are_good_for_itself() -> None:
    assert "tests.shape 3" in shapes()
    check_shapes(shapes())


def test_what_only_one_node_knows_is_no_matter() -> None:
    check_shapes({"elsewhere.only 1": "0123"})
    check_shapes({})


def test_another_shape_of_the_same_version_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match=r"tests\.shape 3"):
        check_shapes({"tests.shape 3": "0123"})
