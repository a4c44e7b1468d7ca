"""The `trioakt` command: it reads the command line and knows nothing of what the commands do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from trioakt.demo import main as demo
from trioakt.errors import TrioaktError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on the command line, or in ``arguments``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="trioakt", description="An actor toolkit on Trio.")
    parser.add_argument("--version", action="version", version=f"trioakt {version('trioakt')}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    _add_demo(commands.add_parser("demo", help="take a census of Python source files, or let a cluster lose a node"))
    _add_cluster(commands.add_parser("cluster", help="show a cluster, or drain a node of it"))
    chosen = parser.parse_args(arguments)
    if chosen.command == "demo":
        return _demo(parser, chosen.directory, chosen.nodes, chosen.store)
    return _answer(chosen.store, chosen.system, chosen.name, chosen.action, getattr(chosen, "argument", ""))


def _demo(parser: argparse.ArgumentParser, directory: Path | None, nodes: int | None, store: str | None) -> int:
    if nodes is None:
        if store is not None:
            parser.error("--store goes with --nodes")
        return demo(directory)
    if directory is not None:
        parser.error("with --nodes it counts what this machine does, not a directory")
    try:
        cluster = import_module("trioakt.demo.cluster")
    except ModuleNotFoundError as error:
        print(f"trioakt: {error}: several nodes need extras, pip install 'trioakt[remote]'", file=sys.stderr)
        return 2
    code: int = cluster.main(nodes, store)
    return code


def _answer(store: str, system: str, cluster: str, action: str, argument: str) -> int:
    try:
        floor = "datacenter" if action == "datacenters" else "cluster"
        console = import_module(f"trioakt.{floor}.console")  # it needs the extra of the store
        shown = console.answer(store, system, cluster, action, argument)
    except LookupError as error:
        print(f"trioakt: {error.args[0]}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"trioakt: {error}: a cluster needs extras, pip install 'trioakt[remote]'", file=sys.stderr)
        return 2
    except (TrioaktError, ValueError, ImportError, OSError) as error:
        print(f"trioakt: {error}", file=sys.stderr)
        return 2
    if shown:
        print(shown)
    return 0


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Count what Python source files are made of, with actors and worker processes. With --nodes, let a cluster "
        "count what the programs of this machine take of its memory, and kill one of the nodes. Ctrl-C ends it."
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, help="by default the standard library of the running interpreter"
    )
    parser.add_argument("--nodes", type=int, metavar="NUMBER", help="of a cluster on this machine, such as 3")
    parser.add_argument("--store", metavar="URL", help="of the cluster, such as etcd://127.0.0.1:2379")


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.description = "Read, in its store, who is in a cluster and who owns what."
    parser.add_argument("--store", required=True, help="its URL, such as sqlite:///bank.db or etcd://127.0.0.1:2379")
    parser.add_argument("--system", required=True, help="the name of the actor system")
    parser.add_argument("--name", default="default", help="the name of the cluster")
    actions = parser.add_subparsers(title="actions", dest="action", required=True)
    actions.add_parser("members", help="list the nodes, the oldest first")
    actions.add_parser("singletons", help="list the singletons and their owners")
    actions.add_parser("datacenters", help="list the datacenters, when the store is their directory")
    drain = actions.add_parser("drain", help="let a node hand over what it owns and take nothing on")
    drain.add_argument("argument", metavar="NODE")
    locate = actions.add_parser("locate", help="show who owns a name")
    locate.add_argument("argument", metavar="NAME")
