"""The form of values whose type is declared nowhere: plain data, the common types, registered messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trioakt.codec.containers import array_form, dict_form
from trioakt.codec.faults import Fault, shorten, unexpected
from trioakt.codec.form import Form
from trioakt.codec.leaves import LEAVES, SCALARS, read_int
from trioakt.codec.messages import Messages
from trioakt.lowlevel import ActorRef


class Dynamic:
    """Marks each value with what it is: scalars are bare, messages are triples, all else is ``[label, data]``."""

    def __init__(self, messages: Messages, refs: list[Form], *, careful: bool) -> None:
        self.form = Form(self._write, self._read, object, "any", depth=None)
        self._messages = messages
        arrays = [array_form(self.form, kind, careful=careful) for kind in (list, tuple, set, frozenset)]
        self._maps = dict_form(LEAVES[str], self.form, dict, careful=careful)
        self._pairs = dict_form(self.form, self.form, dict, careful=careful)
        dicts = Form(self._write_dict, self._read_dict, dict, "dict")
        leaves = [form for form in LEAVES.values() if form.kind not in SCALARS]
        self._by_kind = {form.kind: form for form in (*leaves, *arrays, dicts, *refs)}
        self._by_label = {form.label: form for form in self._by_kind.values()}
        self._by_kind[type(Path())] = LEAVES[Path]

    def _write(self, value: Any) -> Any:
        kind = value.__class__
        if kind in SCALARS:
            return value
        form = self._by_kind.get(ActorRef if isinstance(value, ActorRef) else kind)
        return self._messages.write(value) if form is None else (form.label, form.write(value))

    def _read(self, value: Any, _: Any = None) -> Any:
        if value.__class__ in SCALARS:
            return value
        if value.__class__ is not list:
            return read_int(value)
        if len(value) == 3:
            return self._messages.read(*value)
        label, held = value
        if label not in self._by_label:
            raise Fault(f"no type goes by {shorten(repr(label))}")
        return self._by_label[label].read(held, None)

    def _write_dict(self, value: dict[Any, Any]) -> Any:
        is_map = all(key.__class__ is str for key in value)
        return (self._maps if is_map else self._pairs).write(value)

    def _read_dict(self, value: Any, _: Any = None) -> Any:
        if value.__class__ is dict:
            return self._maps.read(value, None)
        if value.__class__ is list:
            return self._pairs.read(value, None)
        raise unexpected("dict", value)
