"""A message whose shape changed twice: what the first release stored is read by the third."""

from decimal import Decimal
from typing import Any

from trioakt import CodecError, message, upcast
from trioakt.codec import Codec, fingerprint


@message(name="order.placed")  # version 1, as the first release had it; a real program would have dropped this class
class FirstOrderPlaced:
    order: int
    euros: int


@message(name="order.placed", version=3)  # the class may be renamed and moved: the name above is what counts
class OrderPlaced:
    order: int
    amount: Decimal
    currency: str
    gift: bool = False  # a field with a default needs no new version


@upcast("order.placed", 1)
def name_the_currency(old: dict[str, Any]) -> dict[str, Any]:
    return {"order": old["order"], "amount": old["euros"], "currency": "EUR"}


@upcast("order.placed", 2)
def allow_cents(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "amount": Decimal(old["amount"])}


def main() -> None:
    codec = Codec()
    stored = codec.encode(FirstOrderPlaced(order=7, euros=12))
    print("stored", stored)
    print("read  ", codec.decode(stored))

    sent = codec.encode(OrderPlaced(8, Decimal("9.95"), "USD", gift=True))
    print("read  ", codec.decode(sent))
    for wrong in sent.replace(b"9.95", b"cash"), sent.replace(b"\x03", b"\x04"), sent[:30]:
        try:
            codec.decode(wrong)
        except CodecError as error:
            print("refused:", error)
    print("shapes:", fingerprint(FirstOrderPlaced), fingerprint(OrderPlaced))


if __name__ == "__main__":
    main()
