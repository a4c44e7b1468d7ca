"""A process that delivers is killed at random moments, and started again: nothing accepted is lost or done twice.

The consumer keeps account as one would in a database: it writes down what it has done together with the number of
the message, and leaves out the numbers it finds there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from random import Random

PROGRAM = textwrap.dedent(
    """
    import os, sys, trio
    from trioakt import Actor, ActorSystem, message
    from trioakt.delivery import open_queue, spawn_consumer, spawn_producer, spawn_work_producer, spawn_worker

    folder, kind = sys.argv[1:]

    @message(name="tests.job")
    class Job:
        number: int
        text: str

    def lines(name):
        with open(f"{folder}/{name}", "a+b") as file:
            file.seek(0)
            whole = file.read().rpartition(b"\\n")[0].decode().split("\\n")
        return [line.split() for line in whole if line]

    class Log:
        def __init__(self, name):
            self.file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        def write(self, *words):
            os.write(self.file, (" ".join(map(str, words)) + "\\n").encode())

    class Doer(Actor):
        def __init__(self):
            self.log = Log("done")
            self.place = {stream: int(sequence) for stream, sequence, _ in lines("done")}
        def receive(self, ctx, msg):
            if kind == "work" or msg.sequence > self.place.get(msg.stream, 0):
                self.place[msg.stream] = msg.sequence
                self.log.write(msg.stream, msg.sequence, msg.message.number)

    async def main():
        log = Log("accepted")
        first = max([int(number) for number, in lines("tried")], default=0) + 1
        tried = Log("tried")
        async with open_queue(f"{folder}/queue.db") as queue, ActorSystem("test") as system:
            if kind == "work":
                producer = await spawn_work_producer(system, "writer", queue=queue, chunk_size=100)
                for _ in range(3):
                    await spawn_worker(system, to=await system.spawn(Doer), source=producer, wrap=lambda each: each)
            else:
                consumer = await spawn_consumer(system, to=await system.spawn(Doer), wrap=lambda each: each, window=8)
                producer = await spawn_producer(system, "writer", to=consumer, queue=queue, chunk_size=100)
            print("ready", flush=True)
            for number in range(first, first + int(sys.stdin.readline())):
                tried.write(number)
                await producer.send(Job(number, "x" * (number % 350)))
                log.write(number)
            await producer.wait_confirmed()

    trio.run(main)
    """
)


def run(folder: Path, kind: str, kill_after: float | None) -> None:
    """Run the program, and kill it after so many seconds of work, or let it end."""
    command = [sys.executable, "-c", PROGRAM, str(folder), kind]
    count = b"10\n" if kill_after is None else b"1000000\n"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(count)
        process.stdin.flush()
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        process.wait()
        assert process.returncode == (0 if kill_after is None else -9)


def column(folder: Path, name: str, which: int) -> list[int]:
    """Read one column of a log; a last line that was cut off does not count."""
    lines = (folder / name).read_text().rpartition("\n")[0].split("\n")
    return [int(line.split()[which]) for line in lines if line]


def rounds(folder: Path, kind: str) -> tuple[list[int], list[int], list[int]]:
    """Kill the program several times and let it end; return what was tried, what accepted, and what done."""
    chance = Random(os.environ.get("TRIOAKT_SEED", kind))
    for _ in range(4):
        run(folder, kind, chance.uniform(0.02, 0.4))
    run(folder, kind, None)
    return column(folder, "tried", 0), column(folder, "accepted", 0), column(folder, "done", 2)


def test_a_stream_is_handled_once_and_in_order_whenever_the_process_is_killed(tmp_path: Path) -> None:
    tried, accepted, done = rounds(tmp_path, "stream")
    assert set(accepted) <= set(done) <= set(tried)
    assert done == sorted(set(done))
    assert len(accepted) > 20


def test_no_work_is_lost_whenever_the_process_is_killed(tmp_path: Path) -> None:
    tried, accepted, done = rounds(tmp_path, "work")
    assert set(accepted) <= set(done) <= set(tried)
    assert len(accepted) > 20
    assert len(done) - len(set(done)) <= 4 * 10, "only what was in hand, or not yet deleted, may be done again"
