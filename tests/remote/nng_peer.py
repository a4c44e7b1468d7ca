"""A process at the other end of the wire: `nng_peer.py receive ADDRESS` or `nng_peer.py send ADDRESS COUNT SIZE`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import trio

from trioakt.remote.nng import NngTransport
from trioakt.remote.transport import Frame


def say(text: str) -> None:
    print(text, flush=True)


def memory() -> int:
    """Bytes that this process has in memory; 0 where nobody tells."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def receive(address: str) -> None:
    """Tell the address; then, for each frame that is `report`, what has come since the first one, and in what order."""
    async with NngTransport().listen(address) as listener:
        say(listener.address)
        frames, grown, start = 0, 0, 0.0
        while True:
            got = await listener.receive()
            if not isinstance(got, Frame):
                say("closed")
            elif got.data == b"report":
                say(f"{frames} {memory() - grown} {time.perf_counter() - start}")
                frames = 0
            else:
                if frames == 0:
                    grown, start = memory(), time.perf_counter()
                frames += 1


async def send(address: str, count: int, size: int) -> None:
    """Send numbered frames; then say so, and stay."""
    link = await NngTransport().dial(address)
    for number in range(count):
        await link.send(b"%d" % number + bytes(size))
    say("sent")
    await trio.sleep_forever()


async def main(*arguments: str) -> None:
    verb, address, *numbers = arguments
    if verb == "receive":
        await receive(address)
    else:
        await send(address, *map(int, numbers))


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
