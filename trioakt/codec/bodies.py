"""Objects to dicts of their fields and back; the only file that knows cattrs."""

from __future__ import annotations

from typing import Any, cast

import attrs
from cattrs import Converter
from cattrs.gen import (
    make_dict_structure_fn_from_attrs,  # pyright: ignore[reportUnknownVariableType]
    make_dict_unstructure_fn_from_attrs,  # pyright: ignore[reportUnknownVariableType]
    override,
)

from trioakt.codec.faults import Fault, at, unexpected
from trioakt.codec.fields import Field
from trioakt.codec.form import Form, Read, Write

_CONVERTER = Converter(detailed_validation=False)


def quick_body(cls: type[Any], fields: list[Field], forms: list[Form]) -> tuple[Write, Read]:
    """Generate functions for an attrs class that do nothing but what its fields need."""
    hooks: dict[str, Any] = {
        field.name: override(
            rename=field.key,
            unstruct_hook=form.write,
            struct_hook=form.read,
        )
        for field, form in zip(fields, forms, strict=True)
    }
    # The hooks are all there is to know: cattrs shall not look at the annotations.
    attributes = [each.evolve(type=object) for each in attrs.fields(cls) if each.init]
    variables = {each.__name__: object for each in getattr(cls, "__parameters__", ())}
    write = make_dict_unstructure_fn_from_attrs(
        attributes, cls, _CONVERTER, variables, _cattrs_use_linecache=False, **hooks
    )
    read = make_dict_structure_fn_from_attrs(
        attributes,
        cls,
        _CONVERTER,
        variables,
        _cattrs_use_linecache=False,
        _cattrs_detailed_validation=False,
        **hooks,
    )
    return write, cast("Read", read)


def careful_body(cls: type[Any], fields: list[Field], forms: list[Form]) -> tuple[Write, Read]:
    """Return functions for any class with fields that note on failure which field it was."""
    pairs = list(zip(fields, forms, strict=True))

    def write(value: Any) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for field, form in pairs:
            with at(f".{field.key}"):
                body[field.key] = form.write(getattr(value, field.name))
        return body

    def read(body: Any, _: Any = None) -> Any:
        if body.__class__ is not dict:
            raise unexpected("a dict of fields", body)
        held: dict[str, Any] = {}
        for field, form in pairs:
            with at(f".{field.key}"):
                if field.key in body:
                    held[field.key] = form.read(body[field.key], None)
                elif field.required:
                    raise Fault("it is missing and has no default")
        return cls(**held)

    return write, read
