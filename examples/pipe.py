"""Work that takes long runs beside its actor, and comes back to it as a message."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, PipeFailed, Request, message

LIBRARY = {"moby-dick": "Call me Ishmael.", "ulysses": "Stately, plump Buck Mulligan"}


async def fetch(title: str, seconds: float) -> tuple[str, str]:
    """Stand for a request over the network."""
    await trio.sleep(seconds)
    if title not in LIBRARY:
        raise LookupError(f"no book called {title}")
    return title, LIBRARY[title]


@message
class Fetch:
    title: str
    seconds: float


@message
class Page:
    """A result, made into a message."""

    title: str
    text: str


@message
class Shelf(Request[int]):
    """How many pages are there?"""


class Reader(Actor):
    def __init__(self) -> None:
        self.pages: dict[str, str] = {}

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Fetch(title, seconds):
                ctx.pipe_to(ctx.self, fetch, title, seconds, wrap=lambda result: Page(*result))
            case Page(title, text):
                print(f"{trio.current_time():.0f} s: {title} is here, {len(text)} characters")
                self.pages[title] = text
            case PipeFailed(failure):
                print(f"{trio.current_time():.0f} s: failed, {failure.text}")
            case Shelf():
                ctx.reply(len(self.pages))
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("library") as system:
        reader = await system.spawn(Reader, name="reader")
        reader.tell(Fetch("moby-dick", 3.0))
        reader.tell(Fetch("ulysses", 1.0))
        reader.tell(Fetch("the-winds-of-winter", 2.0))
        print("answers meanwhile:", await reader.ask(Shelf()), "pages")
        await trio.sleep(4.0)
        print("at the end:", await reader.ask(Shelf()), "pages")
        print("failures of the actor:", system.statistics().failures)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
