"""Topics and events of a node in another process, over real sockets, until it is killed."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.multiprocess.processes import PATIENCE, NodeProcess, node
from tests.remote.nodes import Fail
from trioakt import ActorFailed, ActorSystem, ConnectionLostError, Remote, TopicStream

LOCAL = "tcp://127.0.0.1:0"

End = Callable[[NodeProcess], Awaitable[None]]


def here() -> ActorSystem:
    """Make the system of the test itself."""
    return ActorSystem("bank", remote=Remote(LOCAL, node="test", cookie="tests", heartbeat=0.2, suspicion=2.0))


async def kill(there: NodeProcess) -> None:
    await there.kill()


async def freeze(there: NodeProcess) -> None:
    there.send(signal.SIGSTOP)


@pytest.mark.parametrize("end", [kill, freeze])
async def test_a_task_hears_of_another_process_until_that_is_gone(
    end: Callable[[NodeProcess], Awaitable[None]],
) -> None:
    with trio.fail_after(PATIENCE):
        async with node("serve", LOCAL, "b") as there, here() as system:
            address = await there.line()
            async with (
                system.topics.subscribe("numbers", buffer=10_000, node=address) as numbers,
                system.remote_events(address, ActorFailed) as failures,
            ):
                first = await anext(numbers)
                assert [await anext(numbers) for _ in range(50)] == list(range(first + 1, first + 51))
                await fail_there(system, address)
                failed = await anext(failures)
                assert (failed.ref.address, failed.failure.text) == (f"{address}/user/ada", "out of ink")
                await end(there)
                for stream in numbers, failures:
                    with pytest.raises(ConnectionLostError):
                        await last_of(stream)


async def fail_there(system: ActorSystem, address: str) -> None:
    ada = await system.resolve(f"{address}/user/ada")
    ada.tell(Fail("out of ink"))


async def last_of(stream: TopicStream) -> None:
    async for _ in stream:
        pass
