"""From types to forms: takes an annotation apart and puts its form together, once per type."""

from __future__ import annotations

import collections
import collections.abc as abc
from enum import Enum
from threading import RLock
from typing import Any, Literal, get_args, get_origin, is_typeddict

import attrs

from trioakt.codec.annotations import members_of, plain_type
from trioakt.codec.bodies import careful_body, quick_body
from trioakt.codec.containers import array_form, dict_form, optional_form, tuple_form
from trioakt.codec.dynamic import Dynamic
from trioakt.codec.faults import Fault, at
from trioakt.codec.fields import fields_of, has_fields
from trioakt.codec.form import Form, depth_over
from trioakt.codec.leaves import LEAVES, SCALARS, enum_form, literal_form
from trioakt.codec.messages import Messages
from trioakt.codec.objects import interface_form, object_form
from trioakt.codec.refs import RefCodec, narrow_ref_form, ref_forms
from trioakt.codec.unions import union_form
from trioakt.lowlevel import ActorRef

_ARRAYS: dict[Any, type[Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    abc.MutableSequence: list,
    abc.MutableSet: set,
    abc.Set: frozenset,
    **dict.fromkeys((abc.Sequence, abc.Collection, abc.Iterable), tuple),
}
_DICTS: dict[Any, type[Any]] = {
    dict: dict,
    collections.OrderedDict: collections.OrderedDict,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
}
_FOREIGN = {"builtins", "collections", "collections.abc", "typing"}
"""Where no class can be the base of a message."""


class Forms:
    """The forms of one codec by type; what has been made is read without the lock.

    Args:
        refs: How refs travel.
        careful: Whether the forms note on failure where it was, instead of being quick.
    """

    def __init__(self, refs: RefCodec | None, *, careful: bool) -> None:
        self._careful = careful
        self._lock = RLock()
        self._bodies: dict[Any, Form] = {}
        self._open: set[Any] = set()
        self.messages = Messages(self.body)
        known = ref_forms(refs)
        self._any = Dynamic(self.messages, known, careful=careful).form
        self._forms: dict[Any, Form] = {
            **LEAVES,
            **{form.kind: form for form in known},
            **dict.fromkeys((Any, object), self._any),
            None: LEAVES[type(None)],
        }

    def of(self, kind: Any) -> Form:
        """Return the form of a type.

        Raises:
            Fault: Values of this type cannot travel.
        """
        with self._lock:
            try:
                form = self._forms.get(kind)
            except TypeError:  # an annotation that cannot be hashed
                return self._make(plain_type(kind))
            if form is None:
                form = self._forms[kind] = self._make(plain_type(kind))
            return form

    def body(self, kind: Any) -> Form:
        """Return the form of the fields alone of a class: a dict of them.

        Raises:
            Fault: A field is of a type that cannot travel.
        """
        with self._lock:
            if kind in self._bodies:
                return self._bodies[kind]
            cls = get_origin(kind) or kind
            if kind in self._open:
                return Form(
                    lambda value: self.body(kind).write(value),
                    lambda value, _: self.body(kind).read(value, None),
                    cls,
                    cls.__name__,
                    depth=None,
                )
            self._open.add(kind)
            try:
                form = self._bodies[kind] = self._make_body(kind, cls)
            finally:
                self._open.discard(kind)
            return form

    def _make_body(self, kind: Any, cls: Any) -> Form:
        fields = fields_of(kind)
        forms: list[Form] = []
        for field in fields:
            with at(f".{field.key}"):
                forms.append(self.of(field.type))
        quick = attrs.has(cls) and not self._careful
        write, read = (quick_body if quick else careful_body)(cls, fields, forms)
        return Form(write, read, cls, cls.__name__, depth=depth_over(forms))

    def _make(self, kind: Any) -> Form:
        members = members_of(kind)
        if len(members) > 1:
            return self._union(members)
        kind = members[0]
        origin = get_origin(kind) or kind
        arguments = get_args(kind)
        if origin in self._forms:
            return self._forms[origin]
        if origin is Literal:
            return literal_form(arguments)
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis) and kind is not tuple:
            return tuple_form([self.of(each) for each in arguments], careful=self._careful)
        if origin is tuple or origin in _ARRAYS:
            item = self.of(arguments[0] if arguments else Any)
            return array_form(item, _ARRAYS.get(origin, tuple), careful=self._careful)
        if origin in _DICTS:
            key, value = arguments or (Any, Any)
            return dict_form(self.of(key), self.of(value), _DICTS[origin], careful=self._careful)
        return self._class(kind, origin)

    def _union(self, members: list[Any]) -> Form:
        forms = [self.of(each) for each in members]
        if self._any in forms:
            return self._any
        some = [form for form in forms if form.kind is not type(None)]
        return optional_form(some[0]) if len(some) == 1 else union_form(forms, SCALARS)

    def _class(self, kind: Any, cls: Any) -> Form:
        if not hasattr(cls, "__mro__") or cls.__module__ in _FOREIGN or is_typeddict(cls):
            raise Fault(f"values of {kind!r} cannot travel")
        if ActorRef in cls.__mro__:
            return narrow_ref_form(self._forms[ActorRef], cls)
        if Enum in cls.__mro__:
            return enum_form(cls)
        if has_fields(cls):
            return object_form(cls, self.body(kind), self.messages)
        return interface_form(cls, self.messages)
