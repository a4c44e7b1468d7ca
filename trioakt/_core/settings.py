"""What can be said about a system when it is made; plain checked data."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import attrs

from trioakt._core.options import RestPolicy, check_rest_policy, check_seconds, check_strategy
from trioakt._core.shutdown import ShutdownHook
from trioakt.supervision import Strategy


def _one_of_each_type(
    instance: object, attribute: attrs.Attribute[tuple[object, ...]], value: tuple[object, ...]
) -> None:
    kinds = [type(each) for each in value]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise ValueError(f"extensions: two are of type {twice.__qualname__}, and they are found by their type")


@attrs.frozen(kw_only=True)
class Settings:
    """Checked settings of one system; see ``ActorSystem``."""

    supervision: Strategy = attrs.field(validator=check_strategy)
    shutdown_timeout: float = attrs.field(validator=check_seconds)
    eviction: RestPolicy | None = attrs.field(validator=check_rest_policy)
    turn: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    extensions: tuple[object, ...] = attrs.field(converter=tuple[object, ...], validator=_one_of_each_type)
    shutdown_hooks: tuple[ShutdownHook, ...] = attrs.field(
        converter=tuple[ShutdownHook, ...],
        validator=attrs.validators.deep_iterable(attrs.validators.instance_of(ShutdownHook)),
    )
    rng: Random = attrs.field(validator=attrs.validators.instance_of(Random))
    wall_clock: Callable[[], float] = attrs.field(validator=attrs.validators.is_callable())
