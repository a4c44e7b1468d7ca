"""Messages of an older shape become the newest one; what is newer than this program is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.codec.shapes import codec, made, refused, round_trip
from trioakt import message, upcast
from trioakt.codec import Codec
from trioakt.codec.packing import pack


@message(name="test.order", version=3)
class Order:
    cents: int
    currency: str
    note: str = ""


@upcast("test.order", 1)
def euros_alone(old: dict[str, Any]) -> dict[str, Any]:
    return {"amount": old["euros"], "currency": "EUR"}


@upcast("test.order", 2)
def to_cents(old: dict[str, Any]) -> dict[str, Any]:
    amount = old.pop("amount")
    return {**old, "cents": int(amount) * 100}


def rename_a(old: dict[str, Any]) -> dict[str, Any]:
    return {"b": old["a"]}


def rename_b(old: dict[str, Any]) -> dict[str, Any]:
    return {"a": old["b"]}


@message(name="test.basket", version=1)
class Basket:
    orders: list[Order]
    best: Any = None


@message(name="test.gap", version=3)
class Gap:
    pass


@message(name="test.broken", version=4)
class Broken:
    price: Decimal


@upcast("test.broken", 1)
def forget(old: dict[str, Any]) -> Any:
    return None


@upcast("test.broken", 2)
def fail(old: dict[str, Any]) -> dict[str, Any]:
    return {"price": old["no such field"]}


@upcast("test.broken", 3)
def build(old: dict[str, Any]) -> dict[str, Any]:
    return {"price": Decimal(old["cents"]) / 100}


def test_an_unknown_field_is_ignored() -> None:
    assert codec.decode(pack(["test.order", 3, {"cents": 1, "currency": "EUR", "color": "red"}])) == Order(1, "EUR")


def test_a_missing_field_takes_its_default() -> None:
    assert codec.decode(pack(["test.order", 3, {"cents": 1, "currency": "EUR"}])).note == ""


def test_a_missing_field_without_a_default_is_refused() -> None:
    error = refused(codec.decode, pack(["test.order", 3, {"cents": 1}]))
    assert error.field_path == "currency"
    assert "missing" in str(error)


def test_older_versions_go_through_their_upcasters() -> None:
    assert codec.decode(pack(["test.order", 1, {"euros": 2}])) == Order(200, "EUR")
    assert codec.decode(pack(["test.order", 2, {"amount": 2, "currency": "USD"}])) == Order(200, "USD")
    assert round_trip(Order(1, "EUR")) == Order(1, "EUR")


def test_messages_inside_messages_are_upcast_too() -> None:
    old, new = {"euros": 1}, {"cents": 1, "currency": "EUR"}
    data = pack(["test.basket", 1, {"orders": [old, ["test.order", 3, new]], "best": ["test.order", 1, old]}])
    assert codec.decode(data) == Basket([Order(100, "EUR"), Order(1, "EUR")], Order(100, "EUR"))
    assert round_trip(Basket([Order(1, "EUR")], Order(2, "EUR"))) == Basket([Order(1, "EUR")], Order(2, "EUR"))


@pytest.mark.parametrize("version", [4, 2**63])
def test_a_newer_version_is_refused(version: int) -> None:
    assert str(version) in str(refused(codec.decode, pack(["test.order", version, {}])))
    assert str(version) in str(
        refused(codec.decode, pack(["test.basket", 1, {"orders": [["test.order", version, {}]]}]))
    )


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "3", None, [3], {}])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    refused(codec.decode, pack(["test.gap", version, {}]))


@pytest.mark.parametrize("fields", [[], None, "cents"])
def test_fields_that_are_no_dict_are_refused(fields: object) -> None:
    assert "a dict of fields" in str(refused(codec.decode, pack(["test.order", 3, fields])))


def test_a_gap_in_the_chain_is_refused() -> None:
    assert "no upcaster from version 1" in str(refused(codec.decode, pack(["test.gap", 1, {}])))


def test_an_upcaster_that_fails_is_named() -> None:
    assert "from version 1 returned NoneType" in str(refused(codec.decode, pack(["test.broken", 1, {}])))
    error = refused(codec.decode, pack(["test.broken", 2, {}]))
    assert "no such field" in str(error)
    assert isinstance(error.__cause__, KeyError)


def test_an_upcaster_may_return_values_of_the_new_types() -> None:
    assert codec.decode(pack(["test.broken", 3, {"cents": 150}])) == Broken(Decimal("1.5"))


def test_the_error_after_an_upcaster_tells_what_was_wrong() -> None:
    error = refused(codec.decode, pack(["test.order", 2, {"amount": 1, "currency": 3}]))
    assert error.field_path == "currency"


def test_a_version_registered_later_is_found() -> None:
    by = Codec()
    first = made("test.later", a=int)
    data = by.encode(first(1))
    assert by.decode(data) == first(1)
    second = made("test.later", 2, b=int)
    assert "no upcaster" in str(refused(by.decode, data))
    upcast("test.later", 1)(rename_a)
    assert by.decode(data) == second(1)
    assert by.decode(by.encode(first(1))) == second(1)


def test_an_upcaster_registered_later_is_found_inside_too() -> None:
    inner = made("test.inner", 2, a=int)
    outer = made("test.outer", inner=inner)
    by = Codec()
    assert round_trip(outer(inner(1)), by) == outer(inner(1))
    data = pack(["test.outer", 1, {"inner": {"b": 1}}])
    assert "no upcaster" in str(refused(by.decode, data))
    upcast("test.inner", 1)(rename_b)
    assert by.decode(data) == outer(inner(1))


def test_two_upcasters_from_one_version_are_an_error() -> None:
    with pytest.raises(ValueError, match="euros_alone"):
        upcast("test.order", 1)(to_cents)
    assert upcast("test.order", 1)(euros_alone) is euros_alone


def test_an_upcaster_starts_from_version_one() -> None:
    with pytest.raises(ValueError, match="version"):
        upcast("test.order", 0)
