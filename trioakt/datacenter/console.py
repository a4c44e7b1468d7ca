"""What the command line shows of datacenters: it reads the directory, and joins nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioakt.cluster.console import at_store
from trioakt.datacenter.view import DirectoryView, prefix_of

if TYPE_CHECKING:
    from trioakt.cluster.store import Store
    from trioakt.datacenter.info import DatacenterInfo


def answer(url: str, system: str, _cluster: str, _action: str, _argument: str) -> str:
    """Return what is to be shown of the datacenters of a system.

    Raises:
        ClusterError, ValueError, ImportError: The directory cannot be reached, or the URL is none.
    """

    async def show(directory: Store) -> str:
        view = DirectoryView(prefix_of(system))
        view.load(await directory.list(view.prefix))
        return "\n".join(map(_line, view.datacenters().values()))

    return trio.run(at_store, url, show)


def _line(info: DatacenterInfo) -> str:
    return f"{info.name}  {info.state}  {','.join(info.addresses) or '-'}"
