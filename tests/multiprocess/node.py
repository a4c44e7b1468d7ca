"""A node in a process of its own: `node.py serve URL NAME`, or `node.py visit URL NAME ADDRESS`, which keeps asking.

It tells on standard output what happens, a line each, and ends with its standard input.
"""

from __future__ import annotations

import sys
from itertools import count

import trio

from tests.remote.nodes import Ping, Server
from trioakt import ActorNotFoundError, ActorSystem, ConnectionLostError, LinkLost, LinkUp, NodeUnreachableError, Remote


def say(text: str) -> None:
    print(text, flush=True)


def remote(url: str, name: str) -> Remote:
    return Remote(url, node=name, cookie="tests", heartbeat=0.2, suspicion=2.0)


def tell_about(event: LinkUp | LinkLost) -> None:
    say("up" if isinstance(event, LinkUp) else "lost")


async def serve(url: str, name: str) -> None:
    async with ActorSystem("bank", remote=remote(url, name)) as system:
        await system.spawn(Server, name="ada")
        with system.events.listen(tell_about, LinkUp, LinkLost):
            say(system.address)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish_numbers, system)
                await end_of_input()
                nursery.cancel_scope.cancel()


async def publish_numbers(system: ActorSystem) -> None:
    for number in count():
        system.topics.publish("numbers", number)
        await trio.sleep(0.01)


async def visit(url: str, name: str, address: str) -> None:
    async with ActorSystem("bank", remote=remote(url, name)) as system:
        with system.events.listen(tell_about, LinkUp, LinkLost):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask_again_and_again, system, address)
                await end_of_input()
                nursery.cancel_scope.cancel()


async def ask_again_and_again(system: ActorSystem, address: str) -> None:
    """Say `yes` or `no`, at each change."""
    said = ""
    while True:
        try:
            ada = await system.resolve(f"{address}/user/ada")
            answer = "yes" if await ada.ask(Ping()) == "pong " else "wrong"
        except (ConnectionLostError, NodeUnreachableError, ActorNotFoundError):
            answer = "no"
        if answer != said:
            say(answer)
            said = answer
        await trio.sleep(0.1)


async def end_of_input() -> None:
    await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    _, mode, own_url, own_name, *others = sys.argv
    if mode == "serve":
        trio.run(serve, own_url, own_name)
    else:
        trio.run(visit, own_url, own_name, others[0])
