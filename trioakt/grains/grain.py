"""What users write: a ``Grain``, and what its class says about all grains of its kind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import attrs

from trioakt.errors import FencedError, LeaseLostError
from trioakt.lowlevel import Actor, Directive, Ledger, Options, RestPolicy, Siblings, SpawnOptions, Strategy, Verdict
from trioakt.patterns.kinds import kind_name
from trioakt.patterns.passivation import Idle
from trioakt.supervision import OneForOne

if TYPE_CHECKING:
    from trioakt.cluster.placement import Placement

Relocation = Literal["lazy", "eager"]
"""When a grain is active again after its node is lost."""


class Grain(Actor):
    """An actor that is there by its identity: get a ref to it with ``system.grain(User, "user-123")``.

    Nothing has to spawn it. The first message activates it: the class is called without arguments, ``pre_start`` runs,
    and ``ctx.identity`` says who it is. When it has been idle for a while it is passivated, ``post_stop`` runs, and the
    next message activates it anew; whatever it is to remember must be stored by then. In a cluster it is active on one
    node at a time.

    A grain that fails is restarted; one that keeps failing is stopped, and activated anew by its next message. There is
    nobody above it to escalate to: ``Directive.ESCALATE`` stops it too.

    Attributes:
        passivation: When it is passivated; ``Never()`` for as long as its node lives.
        relocation: In a cluster, when the node is lost or leaves: ``"lazy"``: it is active again from its next message
            on; ``"eager"``: at once. For eager grains the store is told of each activation.
        placement: In a cluster, on which node it is activated: by default on the one that owns its shard; otherwise as
            the placement says, each time anew. ``Placement.local()`` is the node that the first message comes from.
        role: In a cluster: only nodes with this role have such grains.
        options: Further options as ``spawn`` takes them: ``mailbox``, ``supervision``, ``reentrancy``,
            ``init_timeout``, ``stash_capacity``, ``stop_grace``.
    """

    passivation: ClassVar[RestPolicy] = Idle(120.0)
    relocation: ClassVar[Relocation] = "lazy"
    placement: ClassVar[Placement | None] = None
    role: ClassVar[str] = ""
    options: ClassVar[SpawnOptions] = {}


@attrs.frozen
class Contained:
    """Treats a grain as a strategy says, but stops it where that would escalate."""

    strategy: Strategy

    siblings: ClassVar[Siblings] = Siblings.NONE

    def judge(self, ledger: Ledger, error: BaseException, now: float, rng: Random) -> Verdict:
        """Decide about one failure."""
        if isinstance(error, FencedError | LeaseLostError):  # it has a new owner, or will have
            return Verdict(Directive.STOP)
        verdict = self.strategy.judge(ledger, error, now, rng)
        return Verdict(Directive.STOP) if verdict.directive is Directive.ESCALATE else verdict


@attrs.frozen
class GrainKind:
    """A class of grains as a system runs it.

    Attributes:
        name: Of the class, as nodes know it.
        factory: What makes one, such as the class.
        options: Of each of its grains.
    """

    name: str
    factory: Callable[[], Actor]
    options: Options

    @classmethod
    def of(cls, factory: type[Grain], default: Options) -> GrainKind:
        """Return a class of grains, with the options that it does not name as a system has them.

        Raises:
            TypeError: It is no class of grains, or has a bad option.
            ValueError: One of its options is out of range.
        """
        check_grain(factory)
        if factory.relocation not in get_args(Relocation):
            raise ValueError(f"{factory.__qualname__}: relocation is 'lazy' or 'eager', got {factory.relocation!r}")
        options = SpawnOptions(**factory.options)
        if "passivation" in options:
            raise TypeError(f"{factory.__qualname__}: passivation is an attribute of its own, not one of the options")
        options["passivation"] = factory.passivation
        checked = default.with_changes(options)
        contained = Contained(checked.supervision or OneForOne())
        return cls(kind_name(factory), factory, attrs.evolve(checked, supervision=contained))


def check_grain(kind: object) -> type[Grain]:
    """Return a class if it is one of grains.

    Raises:
        TypeError: It is none.
    """
    if not (isinstance(kind, type) and issubclass(kind, Grain)):
        raise TypeError(f"the kind of a grain is a Grain class, got {kind!r}")
    return kind


def check_identity(identity: object) -> str:
    """Return an identity if it is one.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty, too long, or cannot be written down.
    """
    if not isinstance(identity, str):
        raise TypeError(f"the identity of a grain is a str, got {identity!r}")
    if not 1 <= len(identity) <= LONGEST or "\0" in identity or not _is_encodable(identity):
        raise ValueError(f"bad identity {identity[:80]!r}: it is a text of 1 to {LONGEST} characters, without NUL")
    return identity


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


LONGEST = 255
"""Characters of an identity."""
