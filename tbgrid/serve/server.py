"""`tbgrid serve`: the parts put together, from the first look at the root to the last goodbye."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from tbgrid.choices import Runner
from tbgrid.embedding import registry
from tbgrid.errors import TbgridError, UsageError
from tbgrid.run_format import printable
from tbgrid.serve import jobs, pages, photos
from tbgrid.serve.api import make_app
from tbgrid.serve.dependencies import Service
from tbgrid.serve.limits import Limits
from tbgrid.serve.middleware import LOOPBACK, Guard
from tbgrid.serve.options import models_by_name
from tbgrid.serve.paths import Places
from tbgrid.serve.store import Store, opened
from tbgrid.serve.worker_pool import Workers
from tbgrid.util.locks import claim_directory

_BACKLOG = 2048  # connections that wait to be taken


@dataclass(frozen=True)
class ServeOptions:
    """Where and for whom. `port` 0: any that is free. `keyed`: every client needs a key, as is so
    anyway where `host` is not loopback. `models`: further models that may be asked for, as
    `tbgrid export --model` takes them. `hosts`: from which pictures may be fetched by URL."""

    root: Path
    host: str = "127.0.0.1"
    port: int = 8686
    workers: int = 1
    runner: Runner = "local"
    keyed: bool = False
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise UsageError(f"port {self.port}", "give a number from 0 to 65535")
        if not 1 <= self.workers <= 64:
            raise UsageError(f"workers {self.workers}", "give a number from 1 to 64")
        if self.runner not in ("local", "ray"):
            raise UsageError(f"runner {self.runner}", "expected local or ray")


def serve(options: ServeOptions, tell: Callable[[str], None], log: logging.Handler) -> None:
    """Answer until Ctrl-C or SIGTERM; jobs that are not done by then go on at the next start.
    `tell` gets a line for the user, `log` what goes wrong on the way.

    Raises:
        UsageError: a host that is not loopback, and no key; or two models of one name.
        TbgridError: the root cannot be written or is being served, or the port is taken.
    """
    places = Places(Path(os.path.abspath(options.root)))  # as answers must not show it
    busy = "another tbgrid serve serves"
    with (
        claim_directory(places.service, root=places.root, busy=busy, parameter="root"),
        opened(places.service) as store,
    ):
        loopback = options.host in LOOPBACK
        keyed = options.keyed or not loopback
        if keyed and store.one("SELECT 1 FROM keys") is None:
            raise UsageError(
                f"no key yet for --host {options.host}" if not loopback else "no key yet",
                f"tbgrid serve key add --root {printable(options.root)}",
            )
        models = models_by_name((*registry.BY_NAME, *options.models))
        _recover(store, places)
        with _listening(options.host, options.port) as listener:
            workers = Workers(store, places, options.workers, options.runner, models, tell)
            try:
                service = Service(
                    store,
                    places,
                    options.limits,
                    workers,
                    models,
                    frozenset(host.lower() for host in options.hosts),
                )
                app = make_app(service)
                pages.add_pages(app)
                guard = Guard(app, store, options.limits, keyed, named=loopback)
                shown = f"[{options.host}]" if ":" in options.host else options.host
                tell(f"tbgrid serves http://{shown}:{listener.getsockname()[1]}/")
                _answer(guard, listener, log)
            finally:
                workers.close()


def _recover(store: Store, places: Places) -> None:
    photos.prepare(store, places)
    jobs.recover(store, places)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise TbgridError(
                f"cannot listen on {host}, port {port} ({error.strerror})",
                "give another --port or --host",
            ) from error
        yield listener


def _answer(guard: Guard, listener: socket.socket, log: logging.Handler) -> None:
    """Run the event loop until the process is asked to end."""
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(log)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = uvicorn.Server(
        uvicorn.Config(
            guard,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        logger.removeHandler(log)
