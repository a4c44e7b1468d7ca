"""An actor toolkit on Trio: supervision, typed asks and structured concurrency."""

from trioakt._core.actor import Actor
from trioakt._core.ask import ReplyTo
from trioakt._core.asking import ask_all
from trioakt._core.events import (
    ActorFailed,
    ActorPassivated,
    ActorReinstated,
    ActorRestarted,
    ActorStarted,
    ActorStopped,
    ActorSuspended,
    DeadLetter,
    DeadLetterReason,
    Event,
    MailboxHigh,
    Missed,
    ShutdownHookFailed,
)
from trioakt._core.mailbox import Unbounded
from trioakt._core.message import PoisonPill, Request, Terminated, TerminationCause, message, upcast
from trioakt._core.options import Reentrancy
from trioakt._core.overview import ActorStatistics, SystemStatistics, Tree, TreeNode
from trioakt._core.portal import Portal
from trioakt._core.ref import ActorRef
from trioakt._core.shutdown import ShutdownHook
from trioakt.cluster.events import (
    LeaderChanged,
    MembershipLost,
    NodeJoined,
    NodeLeft,
    RelocationCompleted,
    RelocationFailed,
    RelocationStarted,
)
from trioakt.cluster.member import Member
from trioakt.cluster.memory import MemoryStore
from trioakt.cluster.placement import Placement
from trioakt.cluster.settings import Cluster, Datacenter
from trioakt.context import Context
from trioakt.datacenter.info import DatacenterChanged, DatacenterInfo, DatacenterState
from trioakt.errors import (
    ActorError,
    ActorFailedError,
    ActorNotFoundError,
    ActorStoppedError,
    AskCycleError,
    ClusterError,
    CodecError,
    ConnectionLostError,
    DatacenterError,
    DeliveryError,
    FencedError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    LeaseLostError,
    MailboxFullError,
    MessageTooLargeError,
    NameTakenError,
    NodeUnreachableError,
    NoQuorumError,
    NoReplyError,
    PlacementError,
    ProtocolError,
    QueueError,
    QueueFullError,
    RecoveryError,
    RemoteActorError,
    RemoteError,
    SequenceConflictError,
    StartError,
    SupersededError,
    TrioaktError,
    UnhandledMessageError,
)
from trioakt.grains.grain import Grain
from trioakt.grains.ref import GrainRef
from trioakt.patterns.breaker import CircuitBreaker, CircuitOpenError
from trioakt.patterns.circuit import CircuitState
from trioakt.patterns.eviction import Eviction
from trioakt.patterns.mailboxes import Bounded, Fair, Overflow, Priority
from trioakt.patterns.passivation import AfterMessages, Idle, Never
from trioakt.patterns.pipe import PipeFailed
from trioakt.patterns.router import Broadcast, RouterRef
from trioakt.patterns.routing import (
    Broadcasting,
    ConsistentHash,
    LeastFull,
    Random,
    Resizer,
    RoundRobin,
    ScatterGatherFirst,
    TailChopping,
)
from trioakt.patterns.schedule import Schedule
from trioakt.patterns.topics import SubscriptionLost, TopicStatistics, TopicStream
from trioakt.remote.client import Client, open_client
from trioakt.remote.discovery import DnsSrvSeeds, MdnsSeeds, SeedProvider, advertise_mdns
from trioakt.remote.links import LinkLost, LinkRefused, LinkSuspected, LinkUp
from trioakt.remote.process_nodes import ProcessNode
from trioakt.remote.settings import Remote, Tls
from trioakt.remote.sync_client import SyncClient, connect
from trioakt.supervision import Backoff, Directive, Failure, OneForAll, OneForOne, RestForOne
from trioakt.system import ActorSystem

__all__ = [
    "Actor",
    "ActorError",
    "ActorFailed",
    "ActorFailedError",
    "ActorNotFoundError",
    "ActorPassivated",
    "ActorRef",
    "ActorReinstated",
    "ActorRestarted",
    "ActorStarted",
    "ActorStatistics",
    "ActorStopped",
    "ActorStoppedError",
    "ActorSuspended",
    "ActorSystem",
    "AfterMessages",
    "AskCycleError",
    "Backoff",
    "Bounded",
    "Broadcast",
    "Broadcasting",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "Client",
    "Cluster",
    "ClusterError",
    "CodecError",
    "ConnectionLostError",
    "ConsistentHash",
    "Context",
    "Datacenter",
    "DatacenterChanged",
    "DatacenterError",
    "DatacenterInfo",
    "DatacenterState",
    "DeadLetter",
    "DeadLetterReason",
    "DeliveryError",
    "Directive",
    "DnsSrvSeeds",
    "Event",
    "Eviction",
    "Failure",
    "Fair",
    "FencedError",
    "Grain",
    "GrainRef",
    "Idle",
    "JournalDamagedError",
    "JournalError",
    "JournalFullError",
    "LeaderChanged",
    "LeaseLostError",
    "LeastFull",
    "LinkLost",
    "LinkRefused",
    "LinkSuspected",
    "LinkUp",
    "MailboxFullError",
    "MailboxHigh",
    "MdnsSeeds",
    "Member",
    "MembershipLost",
    "MemoryStore",
    "MessageTooLargeError",
    "Missed",
    "NameTakenError",
    "Never",
    "NoQuorumError",
    "NoReplyError",
    "NodeJoined",
    "NodeLeft",
    "NodeUnreachableError",
    "OneForAll",
    "OneForOne",
    "Overflow",
    "PipeFailed",
    "Placement",
    "PlacementError",
    "PoisonPill",
    "Portal",
    "Priority",
    "ProcessNode",
    "ProtocolError",
    "QueueError",
    "QueueFullError",
    "Random",
    "RecoveryError",
    "Reentrancy",
    "RelocationCompleted",
    "RelocationFailed",
    "RelocationStarted",
    "Remote",
    "RemoteActorError",
    "RemoteError",
    "ReplyTo",
    "Request",
    "Resizer",
    "RestForOne",
    "RoundRobin",
    "RouterRef",
    "ScatterGatherFirst",
    "Schedule",
    "SeedProvider",
    "SequenceConflictError",
    "ShutdownHook",
    "ShutdownHookFailed",
    "StartError",
    "SubscriptionLost",
    "SupersededError",
    "SyncClient",
    "SystemStatistics",
    "TailChopping",
    "Terminated",
    "TerminationCause",
    "Tls",
    "TopicStatistics",
    "TopicStream",
    "Tree",
    "TreeNode",
    "TrioaktError",
    "Unbounded",
    "UnhandledMessageError",
    "advertise_mdns",
    "ask_all",
    "connect",
    "message",
    "open_client",
    "upcast",
]
