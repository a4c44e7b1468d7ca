"""Pipe-to: the result of an async function comes back as a message, so that its actor need not wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import trio
import trio.lowlevel

from trioakt.errors import MailboxFullError
from trioakt.lowlevel import DeadLetterReason, ReplyTo, message, passes_through
from trioakt.patterns.processes import WorkerPools, pack
from trioakt.supervision import Failure

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, CoreContext
    from trioakt.patterns.breaker import CircuitBreaker


@message
class PipeFailed:
    """What was to be piped has failed.

    Attributes:
        failure: What went wrong; of a ``CircuitOpenError`` when the circuit was open.
    """

    failure: Failure


def pipe_to(
    ctx: CoreContext,
    to: ActorRef[Any] | ReplyTo,
    fn: Callable[..., Awaitable[Any]],
    args: tuple[object, ...],
    *,
    breaker: CircuitBreaker | None,
    wrap: Callable[[Any], object] | None,
) -> None:
    """Run a function as a task of this life of the actor, and tell or answer its result; see ``Context.pipe_to``."""
    _check_callable(fn)
    if wrap is not None:
        _check_callable(wrap)
    ctx.nursery.start_soon(_pipe, ctx, to, fn, args, breaker or nullcontext(), wrap, name=fn)


def pipe_thread_to(
    ctx: CoreContext,
    to: ActorRef[Any] | ReplyTo,
    fn: Callable[..., Any],
    args: tuple[object, ...],
    *,
    breaker: CircuitBreaker | None,
    wrap: Callable[[Any], object] | None,
) -> None:
    """Run a blocking function in a thread that this life of the actor waits for, and tell its result."""
    _check_callable(fn)
    pipe_to(ctx, to, trio.to_thread.run_sync, (fn, *args), breaker=breaker, wrap=wrap)


def pipe_process_to(
    ctx: CoreContext,
    to: ActorRef[Any] | ReplyTo,
    fn: Callable[..., Any],
    args: tuple[object, ...],
    *,
    breaker: CircuitBreaker | None,
    wrap: Callable[[Any], object] | None,
) -> None:
    """Run a function in a worker process of this life of the actor, and tell its result."""
    _check_callable(fn)
    errand: bytes | TypeError
    try:
        errand = pack(fn, *args)
    except TypeError as error:
        errand = error
    pipe_to(ctx, to, _run_in_process, (ctx, errand), breaker=breaker, wrap=wrap)


async def _run_in_process(ctx: CoreContext, errand: bytes | TypeError) -> Any:
    if isinstance(errand, TypeError):
        raise errand
    return await ctx.system.service(WorkerPools).run(ctx, errand)


def _check_callable(fn: object) -> None:
    if not callable(fn):
        raise TypeError(f"what is piped is a function and its arguments, got {fn!r}")


async def _pipe(
    ctx: CoreContext,
    to: ActorRef[Any] | ReplyTo,
    fn: Callable[..., Awaitable[Any]],
    args: tuple[object, ...],
    guard: AbstractAsyncContextManager[None],
    wrap: Callable[[Any], object] | None,
) -> None:
    outcome, failed = None, None
    try:
        async with guard:
            result = await fn(*args)
        outcome = result if wrap is None else wrap(result)
    except BaseException as error:
        failed = _without_cancellation(error)
        if failed is None or passes_through(failed):
            raise
    # What shielded itself, or ran in a thread, may come to its end in a later life of the actor: that gets nothing.
    await trio.lowlevel.checkpoint_if_cancelled()
    if not isinstance(to, ReplyTo):
        _tell(ctx, to, outcome if failed is None else PipeFailed(Failure.of(failed)))
    elif failed is None:
        to.reply(outcome)
    else:
        to.fail(failed)


def _tell(ctx: CoreContext, ref: ActorRef[Any], outcome: object) -> None:
    try:
        ref.tell(outcome, sender=ctx.self)
    except MailboxFullError:  # there is no caller any more who could be told
        ctx.system.dead_letter(outcome, ctx.self, ref, DeadLetterReason.MAILBOX_FULL)


def _without_cancellation(error: BaseException) -> BaseException | None:
    """Return what is left of a group when a function was cancelled and parts of it failed on their way out."""
    if passes_through(error) and isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(trio.Cancelled)[1]
    return error
