"""A store in a real PostgreSQL: what every store promises, and what becomes of it when the server or a holder fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
import trio
import trio.testing

from tests.cluster.postgresql_server import Server, postgresql
from trioakt import ClusterError, LeaseLostError, NoQuorumError
from trioakt.cluster.postgresql import PostgresqlStore, open_postgresql_store
from trioakt.cluster.store import Changes, Entry, Removed, Resync
from trioakt.testing import check_store

HOLDER = Path(__file__).with_name("postgresql_holder.py")
SOON = 30.0
"""Seconds that nothing here takes."""
HELD = 4.0
"""Seconds to live of a lease that shall not lapse when the machine has no time for a while."""


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with postgresql() as running:
        yield running


@pytest.fixture
def own_server() -> Generator[Server]:
    """A server of one test, which may kill it."""
    with postgresql() as running:
        yield running


@pytest.fixture
def url(server: Server) -> str:
    """The URL of a database that holds nothing."""
    server.run("drop schema if exists trioakt cascade")
    return server.url()


@pytest.fixture
async def store(url: str) -> AsyncGenerator[PostgresqlStore]:
    async with open_postgresql_store(url) as opened:
        yield opened


@asynccontextmanager
async def holder(url: str, prefix: str, keys: int, ttl: float) -> AsyncGenerator[tuple[trio.Process, dict[int, int]]]:
    """Run a process that tries to create keys; give it and the tokens of those it has won, by their numbers."""
    command = [sys.executable, str(HOLDER), url, prefix, str(keys), str(ttl)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = b""
        while not said.endswith(b"READY\n"):
            read = await process.stdout.receive_some()
            assert read, "it has failed"
            said += read
        lines = [line.split() for line in said.decode().splitlines()[:-1]]
        yield process, {int(number): int(token) for number, token, outcome in lines if outcome == "won"}
    finally:
        process.kill()
        with trio.CancelScope(shield=True):  # it ends at once
            await process.wait()
            await process.stdout.aclose()


async def fails(verb: Callable[[], Awaitable[object]]) -> None:
    with trio.fail_after(SOON), pytest.raises(NoQuorumError):
        await verb()


async def until_answered(verb: Callable[[], Awaitable[object]]) -> None:
    """Try until it works."""
    with trio.fail_after(SOON):
        while True:
            try:
                await verb()
            except NoQuorumError:
                continue
            return


async def changes(watch: AsyncIterator[Changes | Resync]) -> Changes:
    with trio.fail_after(SOON):
        found = await anext(watch)
    assert isinstance(found, Changes)
    return found


async def test_it_keeps_the_promises_of_a_store(store: PostgresqlStore) -> None:
    await check_store(store, ttl=HELD)


async def test_a_killed_server_is_told_at_once_and_keeps_what_it_has_acknowledged(own_server: Server) -> None:
    async with open_postgresql_store(own_server.url()) as store, store.watch("", 0) as watch:
        _, token = await store.create("a", b"one")
        await changes(watch)
        own_server.kill()
        await fails(lambda: store.create("b", b""))
        await fails(lambda: store.list(""))
        await fails(lambda: anext(watch))
        own_server.start()
        assert (await store.list("")).entries == (Entry("a", b"one", token),)
        assert (await store.create("b", b"")).token > token


async def test_a_server_that_was_restarted_is_connected_to_anew_without_a_failure(own_server: Server) -> None:
    async with open_postgresql_store(own_server.url()) as store:
        await store.create("a", b"")
        own_server.kill()
        own_server.start()
        assert not (await store.create("a", b"")).won


async def test_a_frozen_server_hangs_nothing(server: Server, store: PostgresqlStore) -> None:
    await store.create("a", b"")
    async with store.watch("", 0) as watch, store.grant(3) as lease:
        await store.create("leased", b"", lease)
        for _ in range(2):
            await changes(watch)
        server.freeze()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fails, lambda: anext(watch))
                for number in range(20):
                    nursery.start_soon(fails, lambda number=number: store.create(f"more/{number}", b""))
            assert lease.lost.is_set()
        finally:
            server.thaw()
    await until_answered(lambda: store.list(""))
    assert not (await store.list("leased")).entries


async def test_a_verb_on_a_frozen_server_can_be_cancelled(server: Server, store: PostgresqlStore) -> None:
    await store.create("a", b"")
    server.freeze()
    try:
        with trio.fail_after(SOON), trio.move_on_after(0.1):
            await store.create("b", b"")
    finally:
        server.thaw()
    assert (await store.list("a")).entries


async def test_of_several_processes_that_race_for_keys_one_wins_each(url: str) -> None:
    won: list[dict[int, int]] = []

    async def race() -> None:
        async with holder(url, "race/", 50, 5) as (_, tokens):
            won.append(tokens)
            if len(won) == 3:
                done.set()
            await done.wait()

    done = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(race)
    assert sorted(number for tokens in won for number in tokens) == list(range(50))
    assert len({token for tokens in won for token in tokens.values()}) == 50


async def test_what_a_killed_holder_held_goes_in_one_revision_once_its_lease_lapses(
    url: str, store: PostgresqlStore
) -> None:
    async with holder(url, "held/", 3, 2) as (process, tokens), store.watch("", 3) as watch:
        assert len(tokens) == 3
        process.kill()
        assert set((await changes(watch)).changes) == {Removed(f"held/{key}") for key in range(3)}
    won, token = await store.create("held/0", b"")
    assert won
    assert token > max(tokens.values())


async def test_a_lease_that_has_lapsed_creates_nothing(server: Server, store: PostgresqlStore) -> None:
    async with store.grant(60) as lease:
        server.run("update trioakt.leases set expires = clock_timestamp()")
        with pytest.raises(LeaseLostError):
            await store.create("a", b"", lease)
    assert not (await store.list("")).entries


async def test_a_watch_of_what_is_forgotten_says_so_and_ends(server: Server, store: PostgresqlStore) -> None:
    server.run("update trioakt.state set history = 5")
    for number in range(10):
        await store.create(str(number), b"")
    async with store.watch("", 5) as watch:
        assert [(await changes(watch)).revision for _ in range(5)] == [6, 7, 8, 9, 10]
    for revision in (4, 11):  # 11 has not been: the database is an older one than before
        async with store.watch("", revision) as watch:
            assert [change async for change in watch] == [Resync()]


async def test_a_stuck_writer_stops_others_but_no_lease(url: str, store: PostgresqlStore) -> None:
    async with store.grant(3) as lease:  # which ends before the second of the others gives up
        with psycopg.connect(url) as stuck:
            stuck.execute("select from trioakt.state for update")
            for _ in range(2):
                await fails(lambda: store.create("a", b"", lease))
        assert lease.holds
        assert (await store.create("a", b"", lease)).won


async def test_a_watch_hears_changes_at_once(store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.cluster.postgresql._PAUSE", 10 * SOON)
    async with store.watch("", 0) as watch, trio.open_nursery() as nursery:
        nursery.start_soon(changes, watch)
        await trio.testing.wait_all_tasks_blocked(0.2)
        await store.create("a", b"")


async def test_a_watch_hears_changes_without_notifications_too(server: Server, store: PostgresqlStore) -> None:
    async with store.watch("", 0) as watch:
        with trio.move_on_after(0.1):
            await anext(watch)
        server.run("update trioakt.state set revision = 1; insert into trioakt.log values (1, 'a', 'b', 1)")
        assert await changes(watch) == Changes(1, (Entry("a", b"b", 1),))


async def test_a_database_of_another_version_is_not_used(server: Server, url: str, store: PostgresqlStore) -> None:
    server.run("update trioakt.state set layout = 0")
    with pytest.raises(ClusterError, match="layout 0"):
        async with open_postgresql_store(url):
            pass


async def test_a_user_who_owns_the_schema_needs_no_other_right(server: Server, url: str) -> None:
    server.run("create role owner login; create schema trioakt authorization owner")
    async with open_postgresql_store(server.url(user="owner")) as store:
        assert (await store.create("a", b"")).won


async def test_a_user_without_rights_is_told_so(server: Server, url: str) -> None:
    server.run("create role guest login")
    with pytest.raises(NoQuorumError, match="permission denied"):
        async with open_postgresql_store(server.url(user="guest")):
            pass


async def test_the_server_that_takes_writes_is_found_among_several(server: Server, url: str) -> None:
    several = f"postgresql://trioakt@127.0.0.1:1,localhost:{server.port}/postgres"
    async with open_postgresql_store(several) as store:
        assert (await store.create("a", b"")).won


async def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(NoQuorumError, match="refused"):
        async with open_postgresql_store("postgresql://127.0.0.1:1/nothing"):
            pass


@pytest.mark.parametrize("bad", ["postgresql://[", "postgresql://a:1,b:2,c/x?port=1,2", "nonsense"])
async def test_a_bad_url_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"URL|hosts"):
        async with open_postgresql_store(bad):
            pass
