"""A program with a process node; its arguments: how it ends, whether the node is stuck, where its last words go."""

from __future__ import annotations

import sys

import trio

from tests.multiprocess.kinds import Block, Pid, Worker
from trioakt import ActorSystem, Remote


async def main(end: str, state: str, last_words: str) -> None:
    grace = 1.0 if state == "stuck" else 30.0  # which nobody needs who is not stuck
    async with (
        ActorSystem("bank", remote=Remote(cookie="secret")) as system,
        system.open_process_node("worker", kinds=[Worker], stop_grace=grace) as node,
    ):
        worker = await node.spawn(Worker, last_words)
        await worker.ask(Pid())
        print(node.pid, flush=True)
        if state == "stuck":
            worker.tell(Block(1e6))
            await trio.sleep(0.1)
        print("ready", flush=True)
        match end:
            case "return":
                pass
            case "raise":
                raise ValueError("enough")
            case _:
                await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
