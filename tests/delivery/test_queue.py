"""The durable queue: what was accepted is on the disk, and stays there until it is confirmed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.delivery.letters import Letter, Reader, notebook
from trioakt import ActorRef, ActorSystem, Context, DeadLetter, StartError
from trioakt.delivery import (
    Delivery,
    DurableQueue,
    StreamProducerRef,
    open_queue,
    queue_file,
    spawn_consumer,
    spawn_producer,
    spawn_work_producer,
    spawn_worker,
)
from trioakt.errors import QueueError, QueueFullError
from trioakt.testing import open_test_system


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@asynccontextmanager
async def life(path: Path, read: list[Any], seconds: float = 0.0) -> AsyncGenerator[tuple[StreamProducerRef, ActorRef]]:
    """Open the queue and a system with a producer, a consumer and a reader."""
    async with open_queue(path) as queue, ActorSystem("test") as system:
        reader = await system.spawn(Reader, read, seconds, stop_grace=0.0)
        consumer = await spawn_consumer(system, to=reader)
        yield await spawn_producer(system, "writer", to=consumer, queue=queue), reader


def stored(path: Path) -> int:
    """Count the messages in a queue that nobody has open."""
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    connection.close()
    return int(count)


async def test_what_was_accepted_outlives_the_system(path: Path) -> None:
    read: list[int] = []
    async with life(path, read, seconds=1000.0) as (producer, _):
        for number in range(5):
            await producer.send(Letter(number))
    assert read == []
    assert stored(path) == 5
    async with life(path, read) as (producer, _):
        await producer.wait_confirmed()
    assert read == list(range(5))


async def test_what_is_confirmed_is_deleted(path: Path) -> None:
    async with life(path, notebook()) as (producer, _):
        for number in range(50):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
    assert stored(path) == 0


async def test_no_dead_letter_is_made_of_what_stays_in_the_queue(path: Path) -> None:
    dead: list[Any] = []
    async with open_queue(path) as queue, ActorSystem("test") as system:
        reader = await system.spawn(Reader, notebook(), 1000.0)
        producer = await spawn_producer(system, "writer", to=await spawn_consumer(system, to=reader), queue=queue)
        await producer.send(Letter(1))
        with system.events.listen(dead.append, DeadLetter):
            producer.stop()
            await producer.wait_stopped()
        reader.kill()
    assert dead == []


async def test_the_numbers_go_on_where_they_were(path: Path) -> None:
    got: list[Delivery] = []

    def keep(ctx: Context, msg: Delivery) -> None:
        got.append(msg)

    async with open_test_system() as system:
        consumer = await spawn_consumer(system, to=await system.spawn_func(keep), wrap=lambda delivery: delivery)
        for number in range(4):
            async with open_queue(path) as queue:
                producer = await spawn_producer(system, "writer", to=consumer, queue=queue)
                await producer.deliver(Letter(number))
                producer.stop()
                await producer.wait_stopped()
    assert [each.sequence for each in got] == [1, 2, 3, 4]
    assert len({each.stream for each in got}) == 1


async def test_a_consumer_that_lives_on_handles_nothing_twice(path: Path) -> None:
    """The confirmation is lost with the producer's process: its next life sends again what was handled."""
    read: list[int] = []
    async with open_test_system() as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read, 0.05))
        for number in range(5):
            async with open_queue(path) as queue:
                producer = await spawn_producer(system, "writer", to=consumer, queue=queue)
                await producer.send(Letter(number))
                producer.kill()
                await producer.wait_stopped()
        async with open_queue(path) as queue:
            producer = await spawn_producer(system, "writer", to=consumer, queue=queue)
            await producer.wait_confirmed()
            producer.stop()
            await producer.wait_stopped()
    assert read == list(range(5))


async def test_large_messages_keep_their_parts_when_the_chunk_size_changes(path: Path) -> None:
    read: list[int] = []
    async with open_queue(path) as queue, ActorSystem("test") as system:
        gone = await system.spawn(Reader, notebook())
        consumer = await spawn_consumer(system, to=gone)
        producer = await spawn_producer(system, "writer", to=consumer, queue=queue, chunk_size=10)
        gone.tell(Letter(0))
        await producer.deliver(Letter(1, "x" * 100))
        hanging = await spawn_consumer(system, to=await system.spawn(Reader, notebook(), 1000.0, stop_grace=0.0))
        producer.redirect(hanging)
        await producer.send(Letter(2, "x" * 100))
        await producer.send(Letter(3, "x" * 100))
    async with open_queue(path) as queue, ActorSystem("test") as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read))
        producer = await spawn_producer(system, "writer", to=consumer, queue=queue, chunk_size=33)
        await producer.deliver(Letter(4, "x" * 100))
    assert read == [2, 3, 4]


async def test_work_outlives_the_system_too(path: Path) -> None:
    done: list[int] = []
    async with open_queue(path) as queue, ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office", queue=queue)
        idle = await system.spawn(Reader, done, 1000.0, stop_grace=0.0)
        quick = await system.spawn(Reader, done)
        for reader in idle, quick:
            await spawn_worker(system, to=reader, source=producer)
        for number in range(6):
            await producer.send(Letter(number))
    assert stored(path) >= 1
    async with open_queue(path) as queue, ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office", queue=queue)
        await spawn_worker(system, to=await system.spawn(Reader, done), source=producer)
        await producer.wait_confirmed()
    assert sorted(done) == list(range(6))
    assert stored(path) == 0


async def test_several_producers_share_a_file(path: Path) -> None:
    read: list[int] = []
    async with open_queue(path) as queue, open_test_system() as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read))
        producers = [await spawn_producer(system, name, to=consumer, queue=queue) for name in "abc"]
        async with trio.open_nursery() as nursery:
            for number, producer in enumerate(producers):
                nursery.start_soon(producer.deliver, Letter(number))
    assert sorted(read) == [0, 1, 2]


# Faults


async def test_two_producers_of_one_name_are_refused(path: Path) -> None:
    async with open_queue(path) as queue, ActorSystem("test") as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, notebook()))
        await spawn_producer(system, "writer", to=consumer, queue=queue)
        with pytest.raises(StartError) as caught:
            await spawn_producer(system, "writer", to=consumer, queue=queue)
        assert isinstance(caught.value.__cause__, QueueError)


async def open_and_close(path: Path) -> None:
    async with open_queue(path):
        pass


def test_a_file_that_another_process_has_open_is_refused(path: Path) -> None:
    hold = f"""
import sys, trio
from trioakt.delivery import open_queue
async def main():
    async with open_queue({str(path)!r}):
        print("open", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
trio.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(QueueError, match="locked"):
            trio.run(open_and_close, path)
        other.communicate(b"\n")
    trio.run(open_and_close, path)


def test_what_is_no_queue_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_text("This is a letter, and no queue at all. " * 100)
    before = path.read_bytes()
    with pytest.raises(QueueError, match="not a database"):
        trio.run(open_and_close, path)
    assert path.read_bytes() == before


async def test_a_queue_of_a_later_version_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(QueueError, match="99"):
        async with open_queue(path):
            pass


async def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match="unable to open"):
        async with open_queue(tmp_path / "nowhere" / "queue.db"):
            pass


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give a function that sets how many pages the next queue's file may have."""

    def limit(pages: int) -> None:
        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = sqlite3.Connection(*args, **options)
            connection.execute(f"PRAGMA max_page_count = {pages}")
            return connection

        monkeypatch.setattr(sqlite3, "connect", connect)

    return limit


async def test_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing(
    path: Path, small_disk: Callable[[int], None]
) -> None:
    read: list[int] = []
    accepted: list[int] = []
    small_disk(20)
    async with life(path, read, seconds=1000.0) as (producer, _):
        with pytest.raises(QueueFullError, match="full"):
            for number in range(100):
                await producer.send(Letter(number, "x" * 10_000))
                accepted.append(number)
        assert accepted
    async with life(path, read) as (producer, _):
        await producer.wait_confirmed()
        await producer.deliver(Letter(100, "there is room again"))
    assert read == [*accepted, 100]


async def test_what_is_told_while_the_disk_is_full_is_a_dead_letter(
    path: Path, small_disk: Callable[[int], None]
) -> None:
    small_disk(10)
    dead: list[DeadLetter] = []
    async with open_queue(path) as queue, ActorSystem("test") as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, notebook(), 1000.0, stop_grace=0.0))
        producer = await spawn_producer(system, "writer", to=consumer, queue=queue)
        with system.events.listen(dead.append, DeadLetter):
            producer.tell(Letter(1, "x" * 100_000))
            await producer.send(Letter(2))
    assert [each.message.number for each in dead] == [1]


async def test_a_queue_that_is_closed_first_fails_those_who_send(path: Path) -> None:
    async with ActorSystem("test") as system:
        async with open_queue(path) as queue:
            consumer = await spawn_consumer(system, to=await system.spawn(Reader, notebook()))
            producer = await spawn_producer(system, "writer", to=consumer, queue=queue)
            await producer.deliver(Letter(1))
        with pytest.raises(QueueError, match="closed"):
            await producer.send(Letter(2))
        with pytest.raises(StartError):
            await spawn_producer(system, "other", to=consumer, queue=queue)


async def test_an_error_in_the_block_leaves_it_as_it_is(path: Path) -> None:
    with pytest.raises(LookupError):
        async with open_queue(path):
            raise LookupError


async def test_those_who_write_at_the_same_time_share_a_transaction(path: Path) -> None:
    commits = 0

    class Counting(queue_file.QueueFile):
        def commit(self, changes: Any) -> Any:
            nonlocal commits
            commits += 1
            return super().commit(changes)

    file = await trio.to_thread.run_sync(Counting, path)
    queue = DurableQueue(file, trio.CapacityLimiter(1))
    async with trio.open_nursery() as nursery:
        for number in range(1, 101):
            row = queue_file.Stored(number, 0, b"data")
            nursery.start_soon(queue.write, [queue_file.Append("writer", [row], number)])
    await queue.close()
    assert commits <= 3
    assert stored(path) == 100


async def test_one_who_gives_up_takes_nobody_along(path: Path) -> None:
    async with open_queue(path) as queue, trio.open_nursery() as nursery:
        for number in range(1, 11):
            row = queue_file.Stored(number, 0, b"data")
            nursery.start_soon(queue.write, [queue_file.Append("writer", [row], number)])
        with trio.CancelScope() as scope:
            scope.cancel()
            await queue.write([queue_file.Append("writer", [queue_file.Stored(11, 0, b"")], 11)])
    assert stored(path) in (10, 11)
