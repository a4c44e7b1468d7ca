"""How refs and addresses travel: by the protocol of whoever knows the nodes; alone, the codec refuses them."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

import attrs

from trioakt.codec.faults import Fault, unexpected
from trioakt.codec.form import Form
from trioakt.lowlevel import ActorRef, Address


class RefCodec(Protocol):
    """Turns refs and addresses into text that means the same elsewhere, and such text into refs and addresses."""

    def write_ref(self, ref: ActorRef[Any]) -> str:
        """Return the text of a ref."""
        ...

    def read_ref(self, text: str) -> ActorRef[Any]:
        """Return the ref; raise ValueError for a text that names none."""
        ...

    def write_address(self, address: Address) -> str:
        """Return the text of an address."""
        ...

    def read_address(self, text: str) -> Address:
        """Return the address; raise ValueError for a text that is none."""
        ...


def ref_forms(refs: RefCodec | None) -> list[Form]:
    """Return the forms of `ActorRef` and `Address`."""
    if refs is None:
        return [Form(_refuse, _refuse, ActorRef, "ref"), Form(_refuse, _refuse, Address, "address", is_key=True)]

    def text(value: Any) -> str:
        if isinstance(value, str):
            return value
        raise unexpected("an address", value)

    def read_address(value: Any, _: Any = None) -> Address:
        return value if isinstance(value, Address) else refs.read_address(text(value))

    return [
        Form(refs.write_ref, lambda value, _: refs.read_ref(text(value)), ActorRef, "ref", is_key=True),
        Form(refs.write_address, read_address, Address, "address", is_key=True),
    ]


def narrow_ref_form(form: Form, kind: type[ActorRef[Any]]) -> Form:
    """Return the form of a class of refs, such as those to grains: others are not read as such."""

    def read(value: Any, hint: Any = None) -> ActorRef[Any]:
        ref: ActorRef[Any] = form.read(value, hint)
        if not isinstance(ref, kind):
            raise unexpected(f"a {kind.__name__}", value)
        return ref

    return attrs.evolve(form, read=read)


def _refuse(_value: Any, _: Any = None) -> NoReturn:
    raise Fault("refs and addresses have no meaning here: this codec was given no `refs`")
