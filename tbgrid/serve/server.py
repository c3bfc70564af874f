"""`tbgrid serve`: sets up the service, answers until it is interrupted, and shuts down."""

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
from typing import get_args

import uvicorn

from tbgrid.choices import Runner
from tbgrid.embedding import registry
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.run_format import printable
from tbgrid.serve import jobs, pages, photos
from tbgrid.serve.api import make_app
from tbgrid.serve.dependencies import Service
from tbgrid.serve.limits import Limits
from tbgrid.serve.middleware import LOOPBACK, GuardMiddleware
from tbgrid.serve.options import models_by_name
from tbgrid.serve.paths import ServicePaths
from tbgrid.serve.store import Store, open_store
from tbgrid.serve.worker_pool import WorkerPool
from tbgrid.util.locks import claim_directory

_BACKLOG = 2048  # connections that wait to be accepted
_MAX_PORT = 2**16 - 1
_MAX_WORKERS = 64


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What is served, where, and to whom.

    Attributes:
        root: the directory of the service, created if needed.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.
        workers: number of worker processes, 1 to 64.
        runner: what embeds the photos.
        require_key: whether clients need a key on loopback too; elsewhere they always do.
        models: models that clients can use in addition to the short names, as
            `tbgrid export --model` takes them.
        hosts: host names that images may be fetched from by URL.
        limits: limits on requests.

    Raises:
        UsageError: if an option is invalid.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 8686
    workers: int = 1
    runner: Runner = "local"
    require_key: bool = False
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= _MAX_PORT:
            raise UsageError(
                f"{option('port')} {self.port}", f"expected a number from 0 to {_MAX_PORT}"
            )
        if not 1 <= self.workers <= _MAX_WORKERS:
            raise UsageError(
                f"{option('workers')} {self.workers}", f"expected a number from 1 to {_MAX_WORKERS}"
            )
        if self.runner not in get_args(Runner):
            raise UsageError(
                f"{option('runner')} {self.runner}", f"expected {' or '.join(get_args(Runner))}"
            )

    @property
    def on_loopback(self) -> bool:
        """Whether only clients on this machine can connect."""
        return self.host in LOOPBACK

    @property
    def keys_required(self) -> bool:
        """Whether every client needs a key."""
        return self.require_key or not self.on_loopback


def serve(
    options: ServeOptions, notify: Callable[[str], None], log_handler: logging.Handler
) -> None:
    """Run the service until Ctrl-C or SIGTERM. Unfinished jobs are continued at the next start.

    Args:
        options: what is served, where, and to whom.
        notify: receives lines for the user, such as the address.
        log_handler: receives the server's errors.

    Raises:
        UsageError: if keys are required and there are none, or two models have the same name.
        TbgridError: if the root cannot be written or is already served, or the port is taken.
    """
    paths = ServicePaths(Path(os.path.abspath(options.root)))  # `redact_paths` needs the whole path
    busy = "another tbgrid serve is using"
    with (
        claim_directory(paths.service, root=paths.root, busy=busy, parameter="root"),
        open_store(paths.service) as store,
    ):
        if options.keys_required:
            _check_has_key(store, options)
        models = models_by_name((*registry.BY_NAME, *options.models))
        photos.prepare(store, paths)
        jobs.recover(store, paths)
        with _open_listener(options.host, options.port) as listener:
            workers = WorkerPool(
                store=store,
                paths=paths,
                count=options.workers,
                runner=options.runner,
                models=models,
                notify=notify,
            )
            try:
                service = Service(
                    store=store,
                    paths=paths,
                    limits=options.limits,
                    workers=workers,
                    models=models,
                    hosts=frozenset(host.lower() for host in options.hosts),
                )
                host = f"[{options.host}]" if ":" in options.host else options.host
                notify(f"tbgrid serves http://{host}:{listener.getsockname()[1]}/")
                _run_server(_with_middleware(service, options), listener, log_handler)
            finally:
                workers.close()


def _with_middleware(service: Service, options: ServeOptions) -> GuardMiddleware:
    app = make_app(service)
    pages.add_pages(app)
    return GuardMiddleware(
        app,
        service.store,
        options.limits,
        require_key=options.keys_required,
        check_host=options.on_loopback,
    )


def _check_has_key(store: Store, options: ServeOptions) -> None:
    if store.one("SELECT 1 FROM keys") is None:
        where = "" if options.on_loopback else f" for {option('host')} {options.host}"
        raise UsageError(
            f"no key yet{where}",
            f"create one with tbgrid serve key add {option('root')} {printable(options.root)}",
        )


@contextlib.contextmanager
def _open_listener(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise TbgridError(
                f"cannot listen on {host}, port {port} ({error.strerror})",
                f"use another {option('port')} or {option('host')}",
            ) from error
        yield listener


def _run_server(
    app: GuardMiddleware, listener: socket.socket, log_handler: logging.Handler
) -> None:
    """Run the event loop until the process is interrupted."""
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(log_handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
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
        logger.removeHandler(log_handler)
