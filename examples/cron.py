"""By the wall clock: a night watch over the weekend on which Berlin's clocks go forward, past half past two."""

from datetime import datetime
from zoneinfo import ZoneInfo

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, message

BERLIN = ZoneInfo("Europe/Berlin")
SATURDAY = datetime(2026, 3, 28, 12, tzinfo=BERLIN).timestamp()


def wall_clock() -> float:
    """Go with Trio's virtual clock; a real program leaves it out and has the real one."""
    return SATURDAY + trio.current_time()


@message
class Backup:
    pass


@message
class Patrol:
    pass


class Night(Actor):
    def pre_start(self, ctx: Context) -> None:
        ctx.schedule_cron("30 2 * * *", Backup(), zone=BERLIN)

    def receive(self, ctx: Context, msg: object) -> None:
        now = datetime.fromtimestamp(wall_clock(), BERLIN)
        print(f"{now:%A %H:%M %Z}  {type(msg).__name__}")


async def main() -> None:
    async with ActorSystem("night", wall_clock=wall_clock) as system:
        night = await system.spawn(Night, name="night")
        patrol = system.scheduler.cron("*/30 1-3 * * SUN", night, Patrol(), name="patrol", zone="Europe/Berlin")

        await trio.sleep(48 * 3600)
        print("next patrol in", round(((patrol.due or 0) - trio.current_time()) / 3600), "hours")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: a weekend costs nothing
