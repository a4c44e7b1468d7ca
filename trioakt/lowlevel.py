"""The extension kit: the kernel's names for those who write mailboxes, recipients, strategies and patterns.

Our own patterns are made of these names and the public ones alone.
"""

from trioakt._core.actor import Actor, Handler
from trioakt._core.address import Address, check_name
from trioakt._core.ask import Ask, AskOutcome, Listener, ReplyTo, actor_failed
from trioakt._core.asking import Waiting, ask_all, refuse_cycle, way_to
from trioakt._core.cell import Cell
from trioakt._core.context import CoreContext
from trioakt._core.escapes import passes_through
from trioakt._core.events import ActorRestarted, DeadLetterReason, Event, EventStream, Missed, Subscription
from trioakt._core.instrument import Instrument, arrived
from trioakt._core.mailbox import Mailbox, Unbounded, UnboundedQueue
from trioakt._core.message import (
    Carrier,
    Envelope,
    MessageInfo,
    Notice,
    PoisonPill,
    Request,
    Terminated,
    TerminationCause,
    message,
    registration,
    registry,
    upcast,
)
from trioakt._core.options import Options, Reentrancy, RestPolicy, SpawnOptions
from trioakt._core.orders import State
from trioakt._core.ref import ActorRef, Recipient
from trioakt._core.settings import Settings
from trioakt._core.shutdown import ShutdownHook
from trioakt._core.signals import PASSIVATE, Kill, Passivate, Reinstate, Signal, Stop, Unwatch, Watch, Watcher
from trioakt._core.spawning import Spawner, begin
from trioakt._core.standing import Standing, kind_of
from trioakt._core.system import CoreSystem
from trioakt.supervision import Directive, Failure, Ledger, Siblings, Strategy, Verdict

__all__ = [
    "PASSIVATE",
    "Actor",
    "ActorRef",
    "ActorRestarted",
    "Address",
    "Ask",
    "AskOutcome",
    "Carrier",
    "Cell",
    "CoreContext",
    "CoreSystem",
    "DeadLetterReason",
    "Directive",
    "Envelope",
    "Event",
    "EventStream",
    "Failure",
    "Handler",
    "Instrument",
    "Kill",
    "Ledger",
    "Listener",
    "Mailbox",
    "MessageInfo",
    "Missed",
    "Notice",
    "Options",
    "Passivate",
    "PoisonPill",
    "Recipient",
    "Reentrancy",
    "Reinstate",
    "ReplyTo",
    "Request",
    "RestPolicy",
    "Settings",
    "ShutdownHook",
    "Siblings",
    "Signal",
    "SpawnOptions",
    "Spawner",
    "Standing",
    "State",
    "Stop",
    "Strategy",
    "Subscription",
    "Terminated",
    "TerminationCause",
    "Unbounded",
    "UnboundedQueue",
    "Unwatch",
    "Verdict",
    "Waiting",
    "Watch",
    "Watcher",
    "actor_failed",
    "arrived",
    "ask_all",
    "begin",
    "check_name",
    "kind_of",
    "message",
    "passes_through",
    "refuse_cycle",
    "registration",
    "registry",
    "upcast",
    "way_to",
]
