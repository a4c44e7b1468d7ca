"""The form of a union: how its members are told apart in plain data."""

from __future__ import annotations

from typing import Any

from msgspec.msgpack import Ext

from trioakt.codec.faults import Fault, shorten, unexpected
from trioakt.codec.form import Form, depth_over


def union_form(arms: list[Form], scalars: frozenset[type[Any]]) -> Form:
    """Return the form of a union: scalars stand alone, anything else is ``[label, data]``.

    Raises:
        Fault: Two members cannot be told apart by their class or by their label.
    """
    by_label = {arm.label: arm for arm in arms}
    by_kind = {arm.kind: arm for arm in arms}
    if len(by_label) < len(arms) or len(by_kind) < len(arms):
        raise Fault("two members of this union cannot be told apart: " + ", ".join(sorted(arm.label for arm in arms)))
    wanted = " or ".join(by_label)
    if float in by_kind:
        by_kind.setdefault(int, by_kind[float])
    if int in by_kind:
        by_kind[Ext] = by_kind[int]

    def arm_of(value: Any) -> Form:
        arm = by_kind.get(value.__class__) or next((each for each in arms if isinstance(value, each.kind)), None)
        if arm is None:
            raise unexpected(wanted, value)
        return arm

    def write(value: Any) -> Any:
        arm = arm_of(value)
        return arm.write(value) if arm.kind in scalars else (arm.label, arm.write(value))

    def read(value: Any, _: Any = None) -> Any:
        if value.__class__ is not list:
            return arm_of(value).read(value, None)
        label, held = value
        if label not in by_label:
            raise Fault(f"expected {wanted}, got {shorten(repr(label))}")
        return by_label[label].read(held, None)

    return Form(write, read, object, "union", depth=depth_over(arms))
