"""Services in the local network; loaded only when somebody looks for one, or is one. The protocol runs in a thread."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from secrets import token_hex

import trio

from trioakt.errors import NodeUnreachableError

try:
    from zeroconf import InterfaceChoice, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf
except ModuleNotFoundError as missing:
    text = "discovery in the local network needs an extra: pip install 'trioakt[discovery-mdns]'"
    raise ModuleNotFoundError(text, name=missing.name) from missing

_TYPE = "_trioakt._tcp.local."
_PAUSE = 0.05
_OTHERS = 0.3
"""Seconds in which others answer, once one has: they wait up to 0.12 s, so as not to answer all at once."""


async def browse(system: str, seconds: float, interfaces: Sequence[str]) -> list[str]:
    """Return the addresses of the nodes of a system that are heard, after the first of them has been, or some seconds.

    Raises:
        NodeUnreachableError: None is heard.
    """
    found: set[str] = set()
    try:
        async with _opened(interfaces) as zeroconf:
            with trio.move_on_after(seconds):
                async with _browsing(zeroconf) as names:
                    while not found:
                        await trio.sleep(_PAUSE)
                        found = _addresses(zeroconf, names, system)
                    await trio.sleep(_OTHERS)
                    found = _addresses(zeroconf, names, system)
    except OSError as error:
        raise NodeUnreachableError(f"there is no multicast here: {error}") from None
    if not found:
        raise NodeUnreachableError(f"no node of {system!r} is heard in the local network")
    return sorted(found)


@asynccontextmanager
async def _browsing(zeroconf: Zeroconf) -> AsyncGenerator[set[str]]:
    """Gather the names of services for as long as the block lasts."""
    names: set[str] = set()

    def note(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            names.discard(name)
        else:
            names.add(name)

    browser = ServiceBrowser(zeroconf, _TYPE, handlers=[note])
    try:
        yield names
    finally:
        with trio.CancelScope(shield=True):  # its thread ends at once
            await trio.to_thread.run_sync(browser.cancel)


@asynccontextmanager
async def announced(system: str, address: str, interfaces: Sequence[str]) -> AsyncGenerator[None]:
    """Let a node be heard for as long as the block lasts.

    Raises:
        OSError: There is no multicast here.
    """
    name = token_hex(8)
    info = ServiceInfo(
        _TYPE,
        f"{name}.{_TYPE}",
        port=int(address.rpartition(":")[2]),
        properties={"system": system, "address": address},
        server=f"{name}.local.",
    )
    async with _opened(interfaces) as zeroconf:
        announce = partial(zeroconf.register_service, info, cooperating_responders=True)  # nobody else has the name
        await trio.to_thread.run_sync(announce)  # takes two seconds at most
        yield


@asynccontextmanager
async def _opened(interfaces: Sequence[str]) -> AsyncGenerator[Zeroconf]:
    zeroconf = await trio.to_thread.run_sync(Zeroconf, list(interfaces) or InterfaceChoice.All)
    try:
        yield zeroconf
    finally:
        with trio.CancelScope(shield=True):  # it says goodbye, which takes a second at most
            await trio.to_thread.run_sync(zeroconf.close)


def _addresses(zeroconf: Zeroconf, names: set[str], system: str) -> set[str]:
    """Return the addresses that services of a system tell, as far as they were heard."""
    found: set[str] = set()
    for name in names.copy():
        info = ServiceInfo(_TYPE, name)
        info.load_from_cache(zeroconf)
        told = info.decoded_properties
        if told.get("system") == system and (address := told.get("address")):
            found.add(address)
    return found
