"""The manifests on the pages are ones that Kubernetes understands: none of their fields is misspelled or misplaced.

The session `docs` runs this, which has what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "run-a-cluster-on-kubernetes.md"
VERSION = "1.31"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Validate = Callable[[dict[str, Any]], None]


@pytest.fixture
def validate() -> Validate:
    """Return what raises an error about a manifest that is none."""
    module = import_module("kubernetes_validate")
    return lambda manifest: module.validate(manifest, VERSION, strict=True)


def _manifests() -> Iterator[dict[str, Any]]:
    """Yield what is in the blocks of the page; a part of a container is put into one."""
    yaml = import_module("yaml")
    for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        for document in yaml.safe_load_all(block):
            yield document if "kind" in document else _pod_with(document)


def _pod_with(part: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "bank", "image": "bank", **part}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bank"}, "spec": {"containers": [container]}}


def test_the_manifests_on_the_page_are_valid(validate: Validate) -> None:
    manifests = list(_manifests())
    for manifest in manifests:
        validate(manifest)
    assert [manifest["kind"] for manifest in manifests].count("StatefulSet") == 2


def test_a_misspelled_field_is_found(validate: Validate) -> None:
    with pytest.raises(Exception, match="imag"):
        validate(_pod_with({"imag": "bank"}))
