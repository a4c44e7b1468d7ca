"""A service goes down and comes back: a circuit breaker spares it the calls, and the callers the wait."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, CircuitBreaker, CircuitOpenError, Context, PipeFailed, message


class Service:
    """Answers in a tenth of a second; while it is down, callers wait for two seconds and get nothing."""

    def __init__(self) -> None:
        self.is_up = True
        self.calls = 0

    async def call(self) -> str:
        self.calls += 1
        if self.is_up:
            await trio.sleep(0.1)
            return "fine weather"
        with trio.fail_after(2):  # inside the call, so that it counts as a failure
            await trio.sleep_forever()
        raise AssertionError("unreachable")


@message
class Look:
    pass


@message
class Weather:
    text: str


class Window(Actor):
    """Looks out when told to, and shows how long it took to know."""

    def __init__(self, service: Service, breaker: CircuitBreaker) -> None:
        self.service = service
        self.breaker = breaker

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Look():
                ctx.pipe_to(ctx.self, self.service.call, breaker=self.breaker, wrap=Weather)
            case Weather(text):
                self.show(text)
            case PipeFailed(failure) if isinstance(failure.exception, CircuitOpenError):
                self.show(f"not asked, maybe in {failure.exception.retry_after:.0f} s")
            case PipeFailed():
                self.show("no answer")
            case _:
                ctx.unhandled()

    def show(self, text: str) -> None:
        print(f"{trio.current_time():5.1f} s  {self.breaker.state.value:<9}  {text}")


async def main() -> None:
    service = Service()
    breaker = CircuitBreaker(failure_rate=0.5, minimum_calls=4, window=60.0, open_for=30.0)
    async with ActorSystem("house") as system:
        window = await system.spawn(Window, service, breaker)

        async def look(*, times: int) -> None:
            for _ in range(times):
                window.tell(Look())
                await trio.sleep(5)

        await look(times=2)
        service.is_up = False
        await look(times=6)
        service.is_up = True
        await look(times=5)
        print("calls that reached the service:", service.calls)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
