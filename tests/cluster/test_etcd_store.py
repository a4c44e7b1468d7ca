"""A store in a real etcd: it keeps the promises of every store, and those about members that die, freeze or forget."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from tests.cluster.etcd_server import Etcd, Member, etcd, text
from tests.remote.authority import Authority
from trioakt.cluster.etcd import EtcdStore, open_etcd_store
from trioakt.cluster.etcd_gateway import Gateway, parse_etcd_url
from trioakt.cluster.store import Changes, Entry, Removed, Resync
from trioakt.errors import ClusterError, LeaseLostError, NoQuorumError
from trioakt.testing.stores import check_store

BOUND = 20.0
"""Seconds within which a store that cannot be reached has said so, on however slow a machine."""
HELD = 4.0
"""Seconds to live of a lease that shall not lapse when the machine has no time for a while."""
STOP: dict[str, Callable[[Member], None]] = {"killed": Member.stop, "frozen": Member.freeze}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner, where that is what a test waits for."""
    for name, seconds in {"_PATIENCE": 2.0, "_ATTEMPT": 1.0, "_PULSE": 0.2}.items():
        monkeypatch.setattr(f"trioakt.cluster.etcd_gateway.{name}", seconds)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up later: on a busy machine several members take their time to agree on a leader."""
    monkeypatch.setattr("trioakt.cluster.etcd_gateway._PATIENCE", BOUND - 5)


@asynccontextmanager
async def store_in(folder: Path, *options: str) -> AsyncGenerator[tuple[Etcd, EtcdStore]]:
    """Give a cluster of one member, and a store in it."""
    async with etcd(folder, 1, *options) as cluster, open_etcd_store(cluster.url()) as store:
        yield cluster, store


async def test_it_keeps_the_promises_of_a_store(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (_, store):
        await check_store(store, ttl=HELD)


@pytest.mark.usefixtures("patient")
async def test_three_members_keep_the_promises_of_a_store(tmp_path: Path) -> None:
    async with etcd(tmp_path, 3) as cluster, open_etcd_store(cluster.url()) as store:
        await check_store(store, steps=50, ttl=HELD)


# Keys and leases


async def test_keys_may_be_any_text_without_a_zero(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (_, store):
        prefixes = ["é", "\U0001f40d", "\x01", "\x7f", "\uffff"]
        keys = sorted(prefix + rest for prefix in prefixes for rest in ("a", "\x01", "ÿ", "\uffff", "\U0010ffff"))
        for key in keys:
            assert (await store.create(key, key.encode())).won
        for prefix in ("", *prefixes):
            found = [(entry.key, entry.value) for entry in (await store.list(prefix)).entries]
            assert found == [(key, key.encode()) for key in keys if key.startswith(prefix)]


async def test_keys_of_others_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (cluster, store):
        await cluster.members[0].ask("kv/put", {"key": text(b"a\xff"), "value": text("short")})
        assert [entry.value for entry in (await store.list("a")).entries] == [b""]


async def test_a_list_of_many_pages_is_of_one_revision(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (cluster, store), store.grant(30) as lease:
        await cluster.members[0].put_leased(lease.id, [f"many/{number:04}" for number in range(2500)])
        listing = await store.list("many/")
        assert [entry.key for entry in listing.entries] == [f"many/{number:04}" for number in range(2500)]
        assert listing.revision == (await store.list("")).revision


async def test_the_keys_of_a_lease_vanish_in_one_revision_however_many(tmp_path: Path) -> None:
    keys = {f"node/{number:05}" for number in range(20_000)}
    async with store_in(tmp_path, "--max-request-bytes=65536") as (cluster, store):  # so it comes in fragments
        async with store.grant(30) as lease:
            await cluster.members[0].put_leased(lease.id, keys)
            revision = (await store.list("none/")).revision
        async with store.watch("node/", revision) as changes:
            with trio.fail_after(BOUND):
                heard = await anext(changes)
    assert isinstance(heard, Changes)
    assert heard.revision == revision + 1
    assert {change.key for change in heard.changes if isinstance(change, Removed)} == keys


async def test_a_lease_that_etcd_has_let_lapse_is_lost(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (cluster, store), store.grant(5) as lease:
        await cluster.members[0].ask("lease/revoke", {"ID": lease.id})
        with pytest.raises(LeaseLostError):
            await store.create("key", b"", lease)
        assert not lease.holds


async def test_a_renewal_notices_that_the_lease_is_gone(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (cluster, store), store.grant(10) as lease:
        await cluster.members[0].ask("lease/revoke", {"ID": lease.id})
        with trio.fail_at(lease.deadline - 1):  # until then it would hold
            await lease.lost.wait()


# Members that die or freeze


@pytest.mark.parametrize("how", STOP)
@pytest.mark.usefixtures("impatient")
async def test_a_store_without_etcd_says_so_in_time_and_goes_on_when_it_is_back(tmp_path: Path, how: str) -> None:
    async with store_in(tmp_path) as (cluster, store):
        (member,) = cluster.members
        before = await store.create("a", b"")
        async with store.watch("", before.token) as changes:
            STOP[how](member)
            for verb in (store.create("b", b""), store.put_guarded("a", b"new", before.token), store.list("")):
                with trio.fail_after(BOUND), pytest.raises(NoQuorumError):
                    await verb
            with trio.fail_after(BOUND), pytest.raises(NoQuorumError):
                await anext(changes)
        await cluster.revive(member)
        await cluster.leader()
        assert (await store.create("c", b"")).token > before.token
        assert "a" in {entry.key for entry in (await store.list("")).entries}


@pytest.mark.parametrize("how", STOP)
@pytest.mark.parametrize("asked", ["leader", "another"])
@pytest.mark.usefixtures("patient")
async def test_a_leader_that_stops_costs_no_change_and_doubles_none(tmp_path: Path, how: str, asked: str) -> None:
    async with etcd(tmp_path, 3) as cluster:
        leader = await cluster.leader()
        other = next(member for member in cluster.members if member is not leader)
        first = leader if asked == "leader" else other
        async with open_etcd_store(cluster.url(first)) as store, store.watch("", 0) as changes:
            won: list[int] = []
            for number in range(30):
                if number == 10:
                    STOP[how](leader)
                with trio.fail_after(BOUND):
                    created = await store.create(f"{number:02}", b"%d" % number)
                assert created.won
                won.append(created.token)
            with trio.fail_after(BOUND):
                heard = [await anext(changes) for _ in won]
    expected = [Entry(f"{number:02}", b"%d" % number, token) for number, token in enumerate(won)]
    assert heard == [Changes(entry.token, (entry,)) for entry in expected]


async def test_a_lease_outlives_the_member_that_it_was_renewed_at(tmp_path: Path) -> None:
    async with etcd(tmp_path, 3) as cluster:
        leader = await cluster.leader()
        async with open_etcd_store(cluster.url(leader)) as store, store.grant(2 * HELD) as lease:
            held = await store.create("key", b"", lease)
            leader.freeze()
            frozen_at = trio.current_time()
            while lease.renewed_at < frozen_at:
                assert lease.holds
                await trio.sleep(0.05)
            assert (await store.list("key")).entries == (Entry("key", b"", held.token),)


@pytest.mark.usefixtures("impatient")
async def test_without_a_majority_nothing_is_done_and_with_one_again_all_is(tmp_path: Path) -> None:
    async with etcd(tmp_path, 3) as cluster:
        leader = await cluster.leader()
        others = [member for member in cluster.members if member is not leader]
        async with open_etcd_store(cluster.url(leader)) as store, store.watch("", 0) as changes:
            for member in others:
                member.stop()
            with trio.fail_after(BOUND), pytest.raises(NoQuorumError):
                await store.put_guarded("nothing", b"", 1)
            with trio.fail_after(BOUND), pytest.raises(NoQuorumError):
                await store.list("")
            with trio.fail_after(BOUND), pytest.raises(NoQuorumError):
                await anext(changes)
            for member in others:
                await cluster.revive(member)
            await cluster.leader()
            assert (await store.create("key", b"")).won


class Forgetful(httpx.AsyncBaseTransport):
    """Loses the next answer to a transaction."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.loses = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        if self.loses and request.url.path.endswith("txn"):
            self.loses = False
            await response.aread()
            await response.aclose()
            raise httpx.ReadError("the connection is reset")
        return response


@asynccontextmanager
async def forgetful_store(cluster: Etcd) -> AsyncGenerator[tuple[Forgetful, EtcdStore]]:
    async with httpx.AsyncHTTPTransport() as transport:
        forgetful = Forgetful(transport)
        yield forgetful, EtcdStore(Gateway(forgetful, parse_etcd_url(cluster.url())))


async def test_a_create_whose_answer_was_lost_has_won_nevertheless(tmp_path: Path) -> None:
    async with etcd(tmp_path) as cluster, forgetful_store(cluster) as (forgetful, store):
        forgetful.loses = True
        first = await store.create("key", b"same")
        assert first.won
        forgetful.loses = True
        assert await store.create("key", b"same") == (False, first.token)


async def test_what_cannot_be_done_twice_is_not_when_the_answer_was_lost(tmp_path: Path) -> None:
    async with etcd(tmp_path) as cluster, forgetful_store(cluster) as (forgetful, store):
        token = (await store.create("key", b"old")).token
        forgetful.loses = True
        with pytest.raises(NoQuorumError):
            await store.put_guarded("key", b"new", token)
        assert (await store.list("")).entries == (Entry("key", b"new", token),)
        forgetful.loses = True
        with pytest.raises(NoQuorumError):
            await store.delete("key", token)
        assert (await store.list("")).entries == ()


# What etcd forgets


async def test_a_watch_from_what_was_compacted_asks_for_a_new_list(tmp_path: Path) -> None:
    async with store_in(tmp_path) as (cluster, store):
        last = [(await store.create(f"{number}", b"")).token for number in range(5)][-1]
        await cluster.members[0].compact(last)
        async with store.watch("", last - 2) as changes:
            assert [change async for change in changes] == [Resync()]
        async with store.watch("", last - 1) as changes:
            assert await anext(changes) == Changes(last, (Entry("4", b"", last),))


@pytest.mark.usefixtures("impatient")
async def test_a_watch_that_misses_changes_before_they_are_compacted_asks_for_a_new_list(tmp_path: Path) -> None:
    async with etcd(tmp_path, 3) as cluster:
        leader = await cluster.leader()
        lame = next(member for member in cluster.members if member is not leader)
        async with open_etcd_store(cluster.url(lame)) as store, store.watch("", 0) as changes:
            first = await store.create("first", b"")
            assert await anext(changes) == Changes(first.token, (Entry("first", b"", first.token),))
            lame.freeze()
            async with open_etcd_store(cluster.url(leader)) as other:
                await other.create("second", b"")
                last = await other.create("third", b"")
            await leader.compact(last.token)
            with trio.fail_after(BOUND):
                assert [change async for change in changes] == [Resync()]


async def test_a_watch_that_hears_nothing_for_long_goes_on_from_where_etcd_is(tmp_path: Path) -> None:
    options = ["--experimental-watch-progress-notify-interval=200ms"]
    async with store_in(tmp_path, *options) as (cluster, store), store.watch("quiet/", 0) as changes:
        (member,) = cluster.members
        last = [(await store.create(f"busy/{number}", b"")).token for number in range(5)][-1]
        await trio.sleep(1)  # several notes of progress
        await member.compact(last)
        member.stop()
        await cluster.revive(member)
        await cluster.leader()
        made = await store.create("quiet/key", b"")
        with trio.fail_after(BOUND):
            assert await anext(changes) == Changes(made.token, (Entry("quiet/key", b"", made.token),))


# Who may ask


@pytest.mark.usefixtures("impatient")
async def test_both_ends_show_their_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.tls("node", "node.example")
    async with etcd(tmp_path, tls=authority.tls("etcd", "127.0.0.1")) as cluster:
        url = cluster.url().replace("etcd://", "etcds://")
        with trio.fail_after(30):
            while True:
                try:
                    async with open_etcd_store(url, tls=mine) as store:
                        assert (await store.create("key", b"")).won
                        break
                except NoQuorumError:  # it is still starting
                    continue
        for tls in (ssl.create_default_context(cafile=mine.ca), None):
            with trio.fail_after(BOUND), pytest.raises(NoQuorumError):
                async with open_etcd_store(url, tls=tls):
                    pass


async def restrict(member: Member) -> None:
    """Let ada, with her password, at the keys with one prefix, and nobody else at any but root."""
    await member.ask("auth/user/add", {"name": "root", "password": "root"})
    await member.ask("auth/user/grant", {"user": "root", "role": "root"})
    await member.ask("auth/role/add", {"name": "bank"})
    whole = {"permType": "READWRITE", "key": text("bank/"), "range_end": text("bank0")}
    await member.ask("auth/role/grant", {"name": "bank", "perm": whole})
    await member.ask("auth/user/add", {"name": "ada", "password": "p@ss/word"})
    await member.ask("auth/user/grant", {"user": "ada", "role": "bank"})
    await member.ask("auth/enable", {})


async def test_a_user_logs_in_again_when_the_login_has_lapsed(tmp_path: Path) -> None:
    async with etcd(tmp_path, 1, "--auth-token-ttl=1") as cluster:
        (member,) = cluster.members
        await restrict(member)
        url = cluster.url().replace("etcd://", "etcd://ada:p%40ss%2Fword@")
        async with open_etcd_store(url) as store:
            async with store.grant(5) as lease:
                made = await store.create("bank/a", b"", lease)
                await trio.sleep(2.5)  # the login lapses
                async with store.watch("bank/", 0) as changes:
                    assert await anext(changes) == Changes(made.token, (Entry("bank/a", b"", made.token),))
                await trio.sleep(2.5)
                assert (await store.list("bank/")).entries == (Entry("bank/a", b"", made.token),)
            member.stop()
            await cluster.revive(member)  # and it is forgotten
            assert await store.put_guarded("bank/a", b"", made.token) is False
            with pytest.raises(ClusterError, match="permission denied"):
                await store.create("shop/a", b"")
            with pytest.raises(ClusterError, match="permission denied"):
                async with store.watch("shop/", 0) as changes:
                    await anext(changes)


async def test_who_has_a_wrong_password_does_not_get_in(tmp_path: Path) -> None:
    async with etcd(tmp_path) as cluster:
        await restrict(cluster.members[0])
        url = cluster.url().replace("etcd://", "etcd://ada:wrong@")
        with pytest.raises(ClusterError, match="authentication failed"):
            async with open_etcd_store(url):
                pass


# The URL


@pytest.mark.parametrize(
    "url", ["http://a:1", "etcd://", "etcd://a:1,", "etcd://a:1/path", "etcd://a:1?b=c", "etcd://ada:secret@/b"]
)
async def test_what_is_no_url_of_etcd_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="etcd://host") as caught:
        async with open_etcd_store(url):
            pass
    assert "secret" not in str(caught.value)


async def test_certificates_without_tls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="etcds://"):
        async with open_etcd_store("etcd://localhost", tls=Authority(tmp_path).tls("node")):
            pass


def test_a_url_names_the_members_and_who_asks() -> None:
    address = parse_etcd_url("etcds://ada:p%40ss@a,b:1,[::1],[::1]:2")
    assert address.endpoints == ("https://a:2379", "https://b:1", "https://[::1]:2379", "https://[::1]:2")
    assert (address.user, address.password) == ("ada", "p@ss")
    assert "p@ss" not in repr(address)


@pytest.mark.usefixtures("impatient")
async def test_an_etcd_that_is_not_there_is_noticed_when_the_store_is_opened() -> None:
    with trio.fail_after(BOUND), pytest.raises(NoQuorumError, match=r"127\.0\.0\.1:1"):
        async with open_etcd_store("etcd://127.0.0.1:1"):
            pass
