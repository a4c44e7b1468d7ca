"""The check that a store of your own keeps the promises of ``Store``; it raises AssertionError."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from random import Random

import trio
import trio.lowlevel

from trioakt.cluster.lease import Lease
from trioakt.cluster.store import LARGEST_VALUE, LONGEST_KEY, Changes, Created, Entry, Removed, Resync, Store
from trioakt.errors import LeaseLostError
from trioakt.testing.histories import check_history

_ROOT = "check/"
_PATIENCE = 30.0
"""Seconds after which what has not come does not come."""
_RIVALS = 20
_WATCHES = 50
_NAMES = (
    *("a", "a/", "a/b", "a/b/c", "ab", "b", "A", "a b", "a%", "a_", "a*", "a[b]", "a\\", "a'; --", "~", "\x7f", "\x01"),
    *("aé", "aÿ", "ÿ", "雪", "雪☃", "\uffff", "\U00010000", "\U0010ffff", "\U0010ffff\U0010ffff", "a\U0010ffff"),
)
_VALUES = (b"", b"\0", bytes(range(256)), b"\xff\xff", b"plain", "雪".encode())


async def check_store(store: Store, *, steps: int = 300, seed: int = 0, ttl: float = 2.0) -> None:
    """Use a store in all ways, many of them at random, and check what every store owes to a cluster.

    One of many wins a key, and each owner's token is larger than all before. A wrong token changes nothing. Lists and
    watches are of one history, without gaps and in order, and each verb takes its place in it between its call and its
    return. All keys of a lease go together, with the lease and not before. A verb that is cancelled takes effect wholly
    or not at all.

    Run it on virtual time where the store allows it. What becomes of leases when a node dies, and of verbs when the
    engine does, is for you to test.

    Args:
        store: Its keys that begin with ``check/`` are deleted.
        steps: How many verbs of each kind of chance to use.
        seed: Where the chance comes from.
        ttl: Of the leases; the check takes twice as long at least.

    Raises:
        AssertionError: The store breaks a promise; the text says which.
    """
    broken: list[AssertionError] = []
    try:
        await _check(store, Random(seed), steps, ttl)
    except* AssertionError as group:
        broken += _plain(group)
    if broken:
        raise broken[0]


async def _check(store: Store, rng: Random, steps: int, ttl: float) -> None:
    await _clear(store)
    async with store.grant(ttl) as lease:
        start = trio.current_time()
        held = await _won(store, f"{_ROOT}held", b"", lease)
        for check in (_creating, _guarding, _racing, _prefixes, _sizes, _watching, _many_watches):
            await check(store)
        await _leases(store, ttl)
        await _rival_leases(store, ttl)
        await _cancelling(store, rng, ttl)
        await _at_random(store, rng, steps)
        await check_history(store, f"{_ROOT}history/", rng, steps)
        await _holding(store, lease, held, start + 2 * ttl)
    await _clear(store)


async def _holding(store: Store, lease: Lease, held: Created, until: float) -> None:
    """Check a lease that was held through everything before."""
    await trio.sleep_until(until)
    assert lease.holds, "a lease is held for as long as its block lasts"
    assert await _entry(store, f"{_ROOT}held") == Entry(f"{_ROOT}held", b"", held.token), "a key outlives renewals"
    assert lease.deadline <= trio.current_time() + lease.ttl, "the deadline is no later than the store's own"


# ------------------------------------------------------------------------ keys


async def _creating(store: Store) -> None:
    key, other = f"{_ROOT}creating/a", f"{_ROOT}creating/b"
    first = await _won(store, key, b"first")
    again = await store.create(key, b"again")
    assert again == (False, first.token), f"a key that is there is not created: {again} after {first}"
    assert await _entry(store, key) == Entry(key, b"first", first.token), "a create that lost changes nothing"
    between = await _won(store, other, b"")
    assert between.token > first.token, "the token of any key is larger than all before"
    assert await store.delete(key, first.token), "a key is deleted by its token"
    second = await _won(store, key, b"second")
    assert second.token > between.token, f"the token of a new owner is larger than all before, got {second.token}"


async def _guarding(store: Store) -> None:
    key = f"{_ROOT}guarding/a"
    other = await _won(store, f"{_ROOT}guarding/b", b"")
    old = await _won(store, key, b"old")
    await store.delete(key, old.token)
    token = (await _won(store, key, b"0")).token
    for wrong in (0, 1, other.token, old.token, token - 1, token + 1, token + 1000):
        assert await store.put_guarded(key, b"wrong", wrong) is False, "a put under a wrong token is refused"
        assert await store.delete(key, wrong) is False, "a delete under a wrong token is refused"
    assert await _entry(store, key) == Entry(key, b"0", token), "what is refused changes nothing"
    for value in (b"1", b"1", b"", b"2"):
        assert await store.put_guarded(key, value, token) is True, "a put under the token is taken"
        assert await _entry(store, key) == Entry(key, value, token), "a put replaces the value and leaves the token"
    assert (await store.create(key, b"")).token == token, "who loses a key learns the token of its holder"
    assert await store.delete(key, token) is True, "a delete under the token is taken"
    assert await _entry(store, key) is None, "what is deleted is gone"
    assert await store.delete(key, token) is False, "what is gone cannot be deleted"
    assert await store.put_guarded(key, b"", token) is False, "what is gone cannot be replaced"
    assert await _entry(store, key) is None, "a put creates nothing"


async def _racing(store: Store) -> None:
    key = f"{_ROOT}racing"
    outcomes: dict[bytes, Created] = {}

    async def create(value: bytes) -> None:
        outcomes[value] = await store.create(key, value)

    await _together([partial(create, b"%d" % number) for number in range(_RIVALS)])
    winners = [value for value, created in outcomes.items() if created.won]
    assert len(winners) == 1, f"of {_RIVALS} that create one key at once {len(winners)} win"
    token = outcomes[winners[0]].token
    assert {created.token for created in outcomes.values()} == {token}, "all who race learn the winner's token"
    assert await _entry(store, key) == Entry(key, winners[0], token), "the winner's value is there"

    deleted: list[bool] = []

    async def delete() -> None:
        deleted.append(await store.delete(key, token))

    await _together([delete] * _RIVALS)
    assert sum(deleted) == 1, f"of {_RIVALS} that delete one key at once {sum(deleted)} do"


async def _prefixes(store: Store) -> None:
    root = f"{_ROOT}prefixes/"
    before = (await store.list(root)).revision
    made = [Entry(root + name, b"", (await _won(store, root + name, b"")).token) for name in _NAMES]
    there = sorted(made, key=lambda entry: entry.key.encode())
    for prefix in (root, *(root + name for name in _NAMES), root + "none"):
        due = tuple(entry for entry in there if entry.key.startswith(prefix))
        last = max((entry.token for entry in due), default=0)
        listing = await store.list(prefix)
        assert listing.entries == due, f"list({prefix!r}) gives its keys, in their order"
        assert listing.revision >= made[-1].token, "a list tells the revision it stands at"
        heard = [change for each in await _hear(store, prefix, before, last) for change in each.changes]
        assert heard == [entry for entry in made if entry in due], f"watch({prefix!r}) tells of its keys alone"
    everything = (await store.list("")).entries
    assert set(there) <= set(everything), "the empty prefix lists everything"


async def _sizes(store: Store) -> None:
    root = f"{_ROOT}sizes/"
    for number, value in enumerate([*_VALUES, Random(0).randbytes(LARGEST_VALUE)]):
        token = (await _won(store, f"{root}{number}", value)).token
        assert await _entry(store, f"{root}{number}") == Entry(f"{root}{number}", value, token), (
            "values stay as they are"
        )
    longest = root + "é" * ((LONGEST_KEY - len(root)) // 2) + "x" * ((LONGEST_KEY - len(root)) % 2)
    token = (await _won(store, longest, b"")).token
    assert await store.put_guarded(longest, bytes(LARGEST_VALUE), token), "the largest value can be put"
    before = await store.list(_ROOT)
    for key, value in (("", b""), (longest + "x", b""), (root + "large", bytes(LARGEST_VALUE + 1))):
        with _raises(ValueError, "what is too large, or no key"):
            await store.create(key, value)
        with _raises(ValueError, "what is too large, or no key"):
            await store.put_guarded(key, value, token)
    assert (await store.list(_ROOT)).entries == before.entries, "what is refused changes nothing"


# --------------------------------------------------------------------- watching


async def _watching(store: Store) -> None:
    """Watch from many revisions, before and after the changes, and compare."""
    root = f"{_ROOT}watching/"
    start = await store.list(root)
    heard: dict[int, list[Changes]] = {}
    end = trio.Event()

    async def watch(revision: int, *, task_status: trio.TaskStatus[None]) -> None:
        async with store.watch(root, revision) as changes:
            task_status.started()
            await end.wait()  # slow readers miss nothing
            heard[revision] = await _read(changes, last)

    async with _patient_nursery("many watches at once are opened and end") as nursery:
        await nursery.start(watch, start.revision)
        made: list[tuple[int, Entry | Removed]] = []
        revisions = [start.revision]
        for number in range(10):
            key = f"{root}{number % 3}"
            token = (await _won(store, key, b"%d" % number)).token
            await _won(store, f"{_ROOT}elsewhere/{number}", b"")
            await store.put_guarded(key, b"new", token)
            revisions.append((await store.list(root)).revision)
            await store.delete(key, token)
            made += [(token, Entry(key, b"%d" % number, token)), (0, Entry(key, b"new", token)), (0, Removed(key))]
            await nursery.start(watch, (await store.list(root)).revision)
        last = (await _won(store, f"{root}end", b"")).token
        end.set()
    for revision in revisions:
        heard[revision] = await _hear(store, root, revision, last)
    whole = heard[start.revision]
    assert [each.changes for each in whole[:-1]] == [(change,) for _, change in made], (
        "each change is heard once, in order"
    )
    for (token, _), each in zip(made, whole, strict=False):
        assert token in {0, each.revision}, "the token is the revision in which the key was created"
    for revision, since in heard.items():
        due = [each for each in whole if each.revision > revision]
        assert since == due, f"a watch from {revision} on hears all since"


async def _many_watches(store: Store) -> None:
    root = f"{_ROOT}many/"
    revision = (await store.list(root)).revision
    heard: list[str] = []

    async def watch(name: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with store.watch(name, revision) as changes:
            task_status.started()
            async for each in changes:
                assert isinstance(each, Changes), "a watch from a fresh revision needs no list"
                heard.extend(change.key for change in each.changes)
                return

    names = [f"{root}{number:03}" for number in range(_WATCHES)]
    async with _patient_nursery("many watches at once hear what they are for") as nursery:
        for name in names:
            await nursery.start(watch, name)
        await _together([partial(_won, store, name, b"") for name in names])
    assert sorted(heard) == names, "of many watches each hears its own"


# ----------------------------------------------------------------------- leases


async def _leases(store: Store, ttl: float) -> None:
    root = f"{_ROOT}leases/"
    taken = await _won(store, f"{root}of another", b"")
    async with store.grant(ttl) as lease:
        assert lease.holds, "a lease that is granted holds"
        assert 0 < lease.deadline - trio.current_time() <= ttl, "its deadline is within its time to live"
        keys = [f"{root}{number}" for number in range(5)]
        tokens = {key: (await _won(store, key, b"", lease)).token for key in keys}
        assert not (await store.create(f"{root}of another", b"", lease)).won, "a key that is there is not created"
        assert await store.put_guarded(keys[0], b"new", tokens[keys[0]]), "a put under the token is taken"
        await store.delete(keys[1], tokens[keys[1]])
        kept = await _won(store, keys[1], b"without a lease")
        await store.delete(keys[2], tokens[keys[2]])
        before = await store.list(root)
        due = {keys[0], keys[3], keys[4]}
    assert lease.lost.is_set(), "a lease is lost at the end of its block"
    there = {entry.key: entry.token for entry in (await store.list(root)).entries}
    assert not due & set(there), "the keys of a lease go when it is given back"
    assert there == {f"{root}of another": taken.token, keys[1]: kept.token}, "keys that are not of the lease stay"
    last = (await _won(store, f"{root}end", b"")).token
    gone = (await _hear(store, root, before.revision, last))[:-1]
    assert len(gone) == 1, f"the keys of a lease go in one revision, not in {len(gone)}"
    assert sorted(change.key for change in gone[0].changes) == sorted(due), "a watch hears of each key of a lease"
    assert all(isinstance(change, Removed) for change in gone[0].changes), "a watch hears that the keys are gone"
    with _raises(LeaseLostError, "to create a key under a lease that is lost"):
        await store.create(f"{root}late", b"", lease)
    assert await _entry(store, f"{root}late") is None, "nothing is created under a lease that is lost"


async def _rival_leases(store: Store, ttl: float) -> None:
    """Check that the keys of one lease do not go with another."""
    key = f"{_ROOT}rivals"
    async with store.grant(ttl) as mine, store.grant(ttl) as other:
        assert mine != other, "two leases are two"
        token = (await _won(store, key, b"", other)).token
        await store.delete(key, token)
        async with store.grant(ttl) as brief:
            await _won(store, f"{key}/brief", b"", brief)
            token = (await _won(store, key, b"", mine)).token
        assert await _entry(store, f"{key}/brief") is None, "the keys of a lease go when it is given back"
        assert await _entry(store, key) == Entry(key, b"", token), "a key stays when another lease ends"
    assert await _entry(store, key) is None, "a key goes with the lease it was created under"


async def _cancelling(store: Store, rng: Random, ttl: float) -> None:
    """Cancel each verb after more and more steps of the scheduler; nothing is left half done."""
    root = f"{_ROOT}cancelling/"

    async def lease(key: str) -> None:
        async with store.grant(ttl) as lease:
            await store.create(key, b"", lease)
            await trio.sleep_forever()

    async def watch(revision: int) -> None:
        async with store.watch(root, revision) as changes:
            async for _ in changes:
                pass

    for patience in range(12):
        key, old = f"{root}{patience}", f"{root}{patience}/old"
        token = (await _won(store, old, b"old")).token
        revision = (await store.list(root)).revision
        await _cancelled(partial(store.create, key, b"new"), patience, rng)
        entry = await _entry(store, key)
        assert entry in {None, Entry(key, b"new", entry.token if entry else 0)}, "a create is done wholly or not at all"
        await _cancelled(partial(store.put_guarded, old, b"new", token), patience, rng)
        assert await _entry(store, old) in {Entry(old, value, token) for value in (b"old", b"new")}, "so is a put"
        await _cancelled(partial(store.list, root), patience, rng)
        await _cancelled(partial(watch, revision), patience, rng)
        await _cancelled(partial(store.delete, old, token), patience, rng)
        await store.delete(old, token)
        assert await _entry(store, old) is None, "a key can be deleted after all that"
        await _cancelled(partial(lease, f"{key}/leased"), patience, rng)
    await _without(store, root, "/leased")


async def _cancelled(verb: Callable[[], Awaitable[object]], patience: int, rng: Random) -> None:
    async def run() -> None:
        await verb()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        for _ in range(patience):
            await trio.lowlevel.checkpoint()
        if patience > 6:  # engines outside of the process need time, not steps
            await trio.sleep(rng.uniform(0, 0.005))
        nursery.cancel_scope.cancel()


# -------------------------------------------------------------------- at random


async def _at_random(store: Store, rng: Random, steps: int) -> None:
    """Do one thing after another, with a dictionary beside; a watch tells the same story afterwards."""
    root = f"{_ROOT}random/"
    names = [root + name for name in rng.sample(_NAMES, 6)]
    model: dict[str, Entry] = {}
    story: list[Entry | Removed] = []
    start = last = (await store.list(root)).revision
    for step in range(steps):
        key, value = rng.choice(names), b"%d %b" % (step, rng.choice(_VALUES))
        there = model.get(key)
        token = there.token if there and rng.random() < 0.7 else rng.randint(0, last + 1)
        is_right = there is not None and there.token == token
        match rng.choice(["create", "create", "put", "delete", "list"]):
            case "create":
                won, token = await store.create(key, value)
                assert won is (there is None), f"create({key!r}) wins if the key is not there"
                assert there is not None or token > last, "tokens grow"
                assert there is None or token == there.token, "who loses learns the holder's token"
                if won:
                    last = token
                    story.append(model.setdefault(key, Entry(key, value, token)))
            case "put":
                assert await store.put_guarded(key, value, token) is is_right, "a put is taken under the token alone"
                if is_right:
                    story.append(Entry(key, value, token))
                    model[key] = Entry(key, value, token)
            case "delete":
                assert await store.delete(key, token) is is_right, "a delete is taken under the token alone"
                if is_right:
                    story.append(Removed(model.pop(key).key))
            case _:
                listing = await store.list(root)
                assert listing.entries == tuple(sorted(model.values(), key=lambda one: one.key.encode())), "list"
                last = max(last, listing.revision)
    end = (await _won(store, f"{root}end", b"")).token
    told = [change for each in await _hear(store, root, start, end) for change in each.changes]
    assert told[:-1] == story, "a watch tells what was done, in order"


# ----------------------------------------------------------------------- inside


async def _won(store: Store, key: str, value: bytes, lease: Lease | None = None) -> Created:
    """Create a key that is not there."""
    created = await store.create(key, value, lease)
    assert created.won, f"{key!r} is not there and is created, got {created}"
    return Created(*created)


async def _entry(store: Store, key: str) -> Entry | None:
    """Return what is at a key."""
    return next((entry for entry in (await store.list(key)).entries if entry.key == key), None)


async def _hear(store: Store, prefix: str, revision: int, last: int) -> list[Changes]:
    """Return the changes after a revision up to another, in which something has changed."""
    if last <= revision:
        return []
    async with store.watch(prefix, revision) as changes:
        return await _read(changes, last)


async def _read(changes: AsyncIterator[Changes | Resync], last: int) -> list[Changes]:
    """Return what a watch tells up to a revision."""
    told: list[Changes] = []
    with _patience(f"a watch hears of revision {last}"):
        async for each in changes:
            assert isinstance(each, Changes), "a watch from a fresh revision needs no list"
            assert each.changes, "a watch tells of revisions in which something has changed"
            assert not told or each.revision > told[-1].revision, "a watch goes forward"
            told.append(each)
            if each.revision >= last:
                return told
    raise AssertionError("a watch goes on")


async def _without(store: Store, prefix: str, suffix: str) -> None:
    """Wait until no key ends so."""
    listing = await store.list(prefix)
    left = {entry.key for entry in listing.entries if entry.key.endswith(suffix)}
    with _patience("a lease whose block is cancelled ends"):
        async with store.watch(prefix, listing.revision) as changes:
            while left:
                each = await anext(changes)
                assert isinstance(each, Changes), "a watch from a fresh revision needs no list"
                left -= {change.key for change in each.changes if isinstance(change, Removed)}


async def _together(verbs: Sequence[Callable[[], Awaitable[object]]]) -> None:
    async with trio.open_nursery() as nursery:
        for verb in verbs:
            nursery.start_soon(verb)


async def _clear(store: Store) -> None:
    for entry in (await store.list(_ROOT)).entries:
        await store.delete(entry.key, entry.token)


@contextmanager
def _patience(what: str) -> Generator[None]:
    with trio.move_on_after(_PATIENCE) as scope:
        yield
    assert not scope.cancelled_caught, f"{what}: not within {_PATIENCE:.0f} s"


@asynccontextmanager
async def _patient_nursery(what: str) -> AsyncGenerator[trio.Nursery]:
    with _patience(what):
        async with trio.open_nursery() as nursery:
            yield nursery


@contextmanager
def _raises(kind: type[Exception], what: str) -> Generator[None]:
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{what} raises {kind.__name__}")


def _plain(group: ExceptionGroup[AssertionError]) -> Iterator[AssertionError]:
    """Go through what groups of groups hold."""
    for each in group.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _plain(each)
        else:
            yield each
