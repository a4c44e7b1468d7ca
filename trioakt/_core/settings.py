"""What can be said about a system when it is made; plain checked data."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import attrs

from trioakt._core.options import Options, RestPolicy, check_rest_policy, check_seconds, check_strategy
from trioakt._core.shutdown import ShutdownHook
from trioakt.supervision import OneForOne, Strategy


def _one_of_each_type(
    instance: object, attribute: attrs.Attribute[tuple[object, ...]], value: tuple[object, ...]
) -> None:
    kinds = [type(each) for each in value]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise ValueError(f"extensions: two are of type {twice.__qualname__}, and they are found by their type")


@attrs.frozen(kw_only=True)
class Settings:
    """Checked settings of one system; see ``ActorSystem``. ``actors`` are the options that a spawn changes."""

    supervision: Strategy = attrs.field(factory=OneForOne, validator=check_strategy)
    actors: Options = attrs.field(factory=Options)
    shutdown_timeout: float = attrs.field(default=60.0, validator=check_seconds)
    turn: int = attrs.field(default=64, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    eviction: RestPolicy | None = attrs.field(default=None, validator=check_rest_policy)
    extensions: tuple[object, ...] = attrs.field(default=(), converter=tuple[object, ...], validator=_one_of_each_type)
    shutdown_hooks: tuple[ShutdownHook, ...] = attrs.field(
        default=(),
        converter=tuple[ShutdownHook, ...],
        validator=attrs.validators.deep_iterable(attrs.validators.instance_of(ShutdownHook)),
    )
    rng: Random = attrs.field(factory=Random, validator=attrs.validators.instance_of(Random))
    wall_clock: Callable[[], float] = attrs.field(default=time.time, validator=attrs.validators.is_callable())
