"""The etcd store: keys, guards and watches in etcd's terms; it leaves to the gateway which member answers."""

from __future__ import annotations

import secrets
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby
from math import ceil

import trio

from trioakt.cluster.etcd_gateway import Gateway, Json, RefusedError, open_gateway, parse_etcd_url
from trioakt.cluster.lease import Lease, keep
from trioakt.cluster.store import Changes, Created, Entry, Listing, Removed, Resync, check_entry
from trioakt.errors import ClusterError, LeaseLostError
from trioakt.remote.settings import Tls

_MARK = 8
"""Bytes before each value that say which attempt has written it, so that an attempt made twice knows itself."""
_PAGE = 1000
"""Keys in one answer to a list."""

_Heard = Changes | Resync | ClusterError


@asynccontextmanager
async def open_etcd_store(url: str, *, tls: Tls | ssl.SSLContext | None = None) -> AsyncGenerator[EtcdStore]:
    """Open etcd, 3.4 or later, as a ``Store``.

    It talks to etcd's JSON gateway, which is on by default. The members are asked in their order, each next one when
    one does not answer for two seconds; after five a verb gives up.

    Args:
        url: ``etcd://[user:password@]host[:port][,host[:port]...]``, with the client address of each member; with
            ``etcds://`` over TLS.
        tls: For ``etcds://``: the files for mutual TLS, or a context; without, the authorities that the system trusts.

    Raises:
        ValueError: The URL is none, or does not go with ``tls``.
        NoQuorumError: etcd does not answer.
        ClusterError: etcd does not let this user in.
    """
    address = parse_etcd_url(url)
    context = await trio.to_thread.run_sync(_context, address.is_secure, tls)
    async with open_gateway(address, context) as gateway:
        await gateway.call("maintenance/status", {})
        yield EtcdStore(gateway)


def _context(is_secure: bool, tls: Tls | ssl.SSLContext | None) -> ssl.SSLContext | None:
    if not is_secure:
        if tls is not None:
            raise ValueError("tls goes with a URL that begins with etcds://")
        return None
    if isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.create_default_context(cafile=tls.ca if tls else None)
    if tls:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


class EtcdStore:
    """A ``Store`` in etcd; get it from ``open_etcd_store``.

    The token of a key is its ``create_revision``. A value is stored behind eight bytes that tell who wrote it.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def grant(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        """As ``Store.grant``; etcd counts whole seconds, two at least, and lets a lease lapse up to a second late."""
        return keep(_Leases(self._gateway), ttl)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        """As ``Store.create``."""
        check_entry(key, value)
        mark = secrets.token_bytes(_MARK)
        put = {"key": _text(key.encode()), "value": _text(mark + value)}
        if lease is not None:
            lease.check()
            put["lease"] = lease.id
        body = _transaction(key, 0, {"request_put": put}, {"request_range": {"key": put["key"]}})
        try:
            answer = await self._call("kv/txn", body)
        except RefusedError as error:
            if lease is None or not error.is_missing:
                raise
            lease.lost.set()
            raise LeaseLostError(f"the lease {lease.id} is lost") from None
        if answer.get("succeeded"):
            return Created(True, int(answer["header"]["revision"]))
        (found,) = answer["responses"][0]["response_range"]["kvs"]
        return Created(b64decode(found["value"]).startswith(mark), int(found["create_revision"]))

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        """As ``Store.put_guarded``."""
        check_entry(key, value)
        data = _text(secrets.token_bytes(_MARK) + value)
        return await self._guarded(key, token, {"request_put": {"value": data, "ignore_lease": True}})

    async def delete(self, key: str, token: int) -> bool:
        """As ``Store.delete``."""
        return await self._guarded(key, token, {"request_delete_range": {}})

    async def _guarded(self, key: str, token: int, operation: Json) -> bool:
        if token < 1:  # of a key that is not there, to etcd
            return False
        for request in operation.values():
            request["key"] = _text(key.encode())
        answer = await self._call("kv/txn", _transaction(key, token, operation), once=True)
        return bool(answer.get("succeeded"))

    async def list(self, prefix: str) -> Listing:
        """As ``Store.list``."""
        while True:
            try:
                return await self._read_pages(prefix)
            except RefusedError as error:
                if not error.is_compacted:  # in the middle of it
                    raise

    async def _read_pages(self, prefix: str) -> Listing:
        body: Json = {**_range(prefix), "limit": _PAGE}
        entries: list[Entry] = []
        while True:
            page = await self._call("kv/range", body)
            body.setdefault("revision", page["header"]["revision"])  # all pages as of the first
            found = page.get("kvs", [])
            entries += map(_entry, found)
            if not page.get("more"):
                return Listing(tuple(entries), int(body["revision"]))
            body["key"] = _text(b64decode(found[-1]["key"]) + b"\0")

    async def _call(self, verb: str, body: Json, *, once: bool = False) -> Json:
        async with self._gateway.lane():
            return await self._gateway.call(verb, body, once=once)

    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        """As ``Store.watch``."""
        send, receive = trio.open_memory_channel[_Heard](0)
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_Watch(prefix, revision, send).run, self._gateway)
            try:
                yield _Hearing(receive)
            except Exception as error:
                failed = error  # it leaves the block as it is, not inside the nursery's group
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed


class _Leases:
    """What etcd does about leases."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def grant_lease(self, ttl: float) -> int:
        answer = await self._gateway.call("lease/grant", {"TTL": ceil(ttl)})
        return int(answer["ID"])

    async def renew_lease(self, key: int) -> bool:
        answer = await self._gateway.call("lease/keepalive", {"ID": str(key)})
        return "TTL" in answer  # a lease that is gone is no error

    async def revoke_lease(self, key: int) -> None:
        try:
            await self._gateway.call("lease/revoke", {"ID": str(key)})
        except RefusedError as error:
            if not error.is_missing:
                raise


class _Watch:
    """Turns a stream of answers into the changes of whole revisions, and knows where it has come to."""

    def __init__(self, prefix: str, revision: int, send: trio.MemorySendChannel[_Heard]) -> None:
        self._range = _range(prefix)
        self._revision = revision
        self._send = send
        self._fragments: list[Json] = []

    async def run(self, gateway: Gateway) -> None:
        async with self._send:
            try:
                await gateway.follow("watch", self._ask, self._hear)
            except ClusterError as error:
                await self._send.send(error)

    def _ask(self) -> Json:
        self._fragments.clear()
        start = str(self._revision + 1)
        return {"create_request": {**self._range, "start_revision": start, "progress_notify": True, "fragment": True}}

    async def _hear(self, answer: Json) -> bool:
        if answer.get("canceled"):
            if "compact_revision" not in answer:
                raise RefusedError(f"etcd refuses: {answer.get('cancel_reason')}", 0)
            await self._send.send(Resync())
            return False
        self._fragments += answer.get("events", [])
        if answer.get("fragment"):
            return True
        events, self._fragments = self._fragments, []
        for revision, group in groupby(events, lambda event: int(event["kv"]["mod_revision"])):
            await self._send.send(Changes(revision, tuple(map(_change, group))))
            self._revision = revision
        if not events and not answer.get("created"):  # a note of progress
            self._revision = max(self._revision, int(answer["header"]["revision"]))
        return True


class _Hearing:
    """What the holder of a watch iterates over."""

    def __init__(self, receive: trio.MemoryReceiveChannel[_Heard]) -> None:
        self._receive = receive

    def __aiter__(self) -> _Hearing:
        return self

    async def __anext__(self) -> Changes | Resync:
        try:
            heard = await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if isinstance(heard, ClusterError):
            raise heard
        return heard


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _range(prefix: str) -> dict[str, str]:
    start = prefix.encode()
    if not start:
        return {"key": _text(b"\0"), "range_end": _text(b"\0")}  # all keys
    return {"key": _text(start), "range_end": _text(start[:-1] + bytes([start[-1] + 1]))}  # no byte of UTF-8 is 255


def _transaction(key: str, token: int, operation: Json, otherwise: Json | None = None) -> Json:
    """Do something if a key has a token, and 0 is that of a key that is not there."""
    guard = {"target": "CREATE", "key": _text(key.encode()), "create_revision": str(token)}
    return {"compare": [guard], "success": [operation], "failure": [otherwise] if otherwise else []}


def _key(found: Json) -> str:
    return b64decode(found["key"]).decode(errors="replace")  # where others have put what is no text


def _entry(found: Json) -> Entry:
    value = b64decode(found.get("value", ""))[_MARK:]
    return Entry(_key(found), value, int(found["create_revision"]))


def _change(event: Json) -> Entry | Removed:
    if event.get("type") == "DELETE":
        return Removed(_key(event["kv"]))
    return _entry(event["kv"])
