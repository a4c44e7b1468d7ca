"""How an actor of the cluster is treated that finds out, by its own work, that it is not the owner any more."""

from __future__ import annotations

from random import Random
from typing import ClassVar

import attrs

from trioakt.errors import FencedError, LeaseLostError
from trioakt.supervision import Directive, Ledger, Siblings, Strategy, Verdict


@attrs.frozen
class Yielding:
    """Suspends an actor that another owner has succeeded; otherwise treats it as a strategy says.

    A node that was frozen may run such an actor for a moment before it stops it. A restart would help nothing then, and
    a failure that escalates would end the node.
    """

    strategy: Strategy

    siblings: ClassVar[Siblings] = Siblings.NONE

    def judge(self, ledger: Ledger, error: BaseException, now: float, rng: Random) -> Verdict:
        """Decide about one failure."""
        if isinstance(error, FencedError | LeaseLostError):
            return Verdict(Directive.SUSPEND)
        return self.strategy.judge(ledger, error, now, rng)
