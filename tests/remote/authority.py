"""An authority that signs certificates for the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from trioakt.remote.settings import Tls


class Authority:
    """Signs certificates, and writes them where a node finds them."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self._folder = folder

    def tls(
        self, name: str, *hosts: str, valid: bool = True, unit: str | None = None, trusts: trustme.CA | None = None
    ) -> Tls:
        """The files of a node; its common name is ``name``."""
        expired = datetime.now(UTC) - timedelta(days=1)
        issued = self.ca.issue_cert(
            *hosts, common_name=name, organization_unit_name=unit, not_after=None if valid else expired
        )
        folder = self._folder / f"{len([*self._folder.iterdir()])}"
        folder.mkdir()
        issued.private_key_pem.write_to_path(folder / "key")
        for blob in issued.cert_chain_pems:
            blob.write_to_path(folder / "certificate", append=True)
        (trusts or self.ca).cert_pem.write_to_path(folder / "ca")
        return Tls(folder / "certificate", folder / "key", folder / "ca")
