"""The process: one service after the other, as the configuration changes; what monitoring and systemd hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog

from mailbox_service import logs
from mailbox_service.adapters.systemd import Notifier
from mailbox_service.app.liveness import Liveness
from mailbox_service.app.service import SHUTDOWN_SECONDS, Service
from mailbox_service.app.tasks import end, kept_alive
from mailbox_service.config import Config
from mailbox_service.errors import ConfigurationError, MailboxServiceError, TemporaryError
from mailbox_service.services.metering import NO_METER, RELOADS, Meter

if TYPE_CHECKING:
    from mailbox_service.adapters.http import HttpDoor
    from mailbox_service.adapters.metrics import Metrics

log = structlog.get_logger()

T = TypeVar("T")
# A service that is ready to run, and the door of its health where that is another one.
Succession = tuple[Service, "HttpDoor | None"]


class Daemon:
    """Runs a service, and puts another in its place when the configuration was changed and is right.

    `stop` and `reload` may be called at any time, also before `run`, and more than once.
    """

    def __init__(self, service: Service, load: Callable[[], Config], environ: Mapping[str, str]) -> None:
        self.service = service
        self._load = load
        self._notifier = Notifier(environ)
        self._liveness = Liveness(self._notifier)
        self._stopping, self._reload = asyncio.Event(), asyncio.Event()
        self._door: HttpDoor | None = None
        self._health: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, config: Config, load: Callable[[], Config], environ: Mapping[str, str]) -> Self:
        """The daemon of `config`; `load` reads the configuration anew. Raises: as Service.open."""
        meter: Meter = _metrics() if config.health else NO_METER
        return cls(Service.open(config, meter=meter), load, environ)

    def stop(self) -> None:
        """Finish what is under way, and end."""
        self._stopping.set()

    def reload(self) -> None:
        """Read the configuration anew, and take it over when nothing is wrong with it."""
        self._reload.set()

    async def run(self) -> None:
        """Until `stop`. Raises: TemporaryError when the process has to be started anew."""
        liveness = asyncio.create_task(kept_alive("liveness", self._liveness.run), name="liveness")
        try:
            self._open_health(None)
            while await self._run_one_service():
                pass
        finally:
            await end([task for task in (liveness, self._health) if task is not None])
            await self.service.database.dispose()

    async def _run_one_service(self) -> bool:
        """From one configuration to the next; False when there is no next one."""
        stop = asyncio.Event()
        serving = asyncio.create_task(self.service.serve(stop), name="service")
        try:
            successor = await self._until_succeeded(serving)
        finally:
            self._liveness.watch(None)
            if self._stopping.is_set():
                self._notifier.stopping()
            stop.set()
            ended = await serving
        if successor is None:
            return False
        if not ended:
            # What still runs might send a mail that its successor sends as well.
            raise TemporaryError("a task of the former configuration does not end; start the service anew")
        await self._give_way_to(*successor)
        return not self._stopping.is_set()

    # --- a new configuration ------------------------------------------------------------------------------

    async def _until_succeeded(self, serving: asyncio.Task[bool]) -> Succession | None:
        """What takes over from the running service; None when it is time to end."""
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")

        async def comes_first(wanted: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
            """None where the service is to end, or has ended, before that."""
            task = asyncio.create_task(wanted)
            await asyncio.wait({serving, stopping, task}, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not stopping.done() and not serving.done():
                return task
            # A thread of it runs on to its end, and what it finds is nobody's business any more.
            task.cancel()
            return None

        try:
            if await comes_first(self.service.running.wait()):
                self._liveness.watch(self.service)
                self._notifier.ready()
            while await comes_first(self._reload.wait()):
                self._reload.clear()
                prepared = await comes_first(self._successor())
                if prepared is not None and (successor := prepared.result()) is not None:
                    return successor
            return None
        finally:
            stopping.cancel()

    async def _successor(self) -> Succession | None:
        """The service of the configuration as it is now; None, and the reason in the log, where that cannot be had."""
        self._notifier.reloading()
        log.info("reloading")
        try:
            return await self._prepared()
        except ConfigurationError as error:
            problems: list[object] = list(error.problems)
        except MailboxServiceError as error:
            problems = [error]
        except Exception as error:
            # A fault of ours in reading it must not end what runs well.
            log.exception("configuration not taken over", error_type=type(error).__name__)
            problems = []
        for problem in problems:
            log.error("configuration not taken over", reason=problem)
        log.warning("still running with the former configuration", count=len(problems))
        self.service.meter.count(RELOADS, "refused")
        self._notifier.ready()
        return None

    async def _prepared(self) -> Succession:
        """All that can be wrong is found here, while the old service runs. Raises: MailboxServiceError."""
        old = self.service
        config = await asyncio.to_thread(self._load)
        meter = _metrics() if config.health and old.meter is NO_METER else old.meter
        if config.database.connection_url() == old.config.database.connection_url():
            # The same database object, and with it the worker's slot: what is left is ours, and nobody else's.
            await old.database.transact(lambda tx: tx.outbox_paused())
            service = await asyncio.to_thread(Service, config, old.database, old.instance, meter=meter)
        else:
            service = await asyncio.to_thread(Service.open, config, meter=meter)
        try:
            moved = config.health is not None and config.health != old.config.health
            return service, self._door_of(service) if moved else None
        except BaseException:
            await service.hang_up()
            if service.database is not old.database:
                await service.database.dispose()
            raise

    async def _give_way_to(self, successor: Service, door: HttpDoor | None) -> None:
        old, self.service = self.service, successor
        if old.database is successor.database:
            # A claim that its task no longer waited for must be on file before the successor looks what is left.
            try:
                async with asyncio.timeout(SHUTDOWN_SECONDS):
                    await old.database.settled()
            except TimeoutError:
                raise TemporaryError("a transaction of the former configuration does not end") from None
        else:
            await old.database.dispose()
        logs.configure(successor.config.logging.format, successor.config.logging.level)
        if old.config.health != successor.config.health:
            if self._health is not None:
                await end([self._health])
            self._open_health(door)
        for warning in successor.config.warnings:
            log.warning("configuration", reason=warning)
        log.info("configuration taken over", mailbox=",".join(successor.mailboxes))
        successor.meter.count(RELOADS, "taken over")

    # --- monitoring ---------------------------------------------------------------------------------------

    def _open_health(self, door: HttpDoor | None) -> None:
        self._door, self._health = door, None
        if self.service.config.health is not None:
            # Retried for ever: a port that somebody else has must not keep mail from being answered.
            self._health = asyncio.create_task(
                kept_alive("health", self._serve_health, self.service.meter), name="health"
            )

    async def _serve_health(self) -> None:
        door = self._door or self._door_of(self.service)
        self._door = None
        log.info("health is served", port=door.port)
        await door.serve()

    def _door_of(self, service: Service) -> HttpDoor:
        """Raises: PermanentError when the port cannot be had."""
        from mailbox_service.adapters.http import HttpDoor
        from mailbox_service.adapters.metrics import Metrics
        from mailbox_service.app.health import Health

        health, metrics = service.config.health, service.meter
        assert health is not None and isinstance(metrics, Metrics)  # noqa: S101
        pages = Health(lambda: self.service, self._liveness, metrics).pages
        return HttpDoor(health.host, health.port, pages)


def _metrics() -> Metrics:
    # Only where somebody looks: memory.
    from mailbox_service.adapters.metrics import Metrics

    return Metrics()
