"""Pictures by URL, from hosts that the server's owner has named, and never from private addresses.

A name is resolved once; the connection goes to the very address that was looked at, so that no
second answer of the name's server leads elsewhere. Redirects are not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from tbgrid.serve.errors import Refused

_PATIENCE = 10.0  # s for each answer of the other server
_WHOLE = 60.0  # s for all of a picture
_BLOCK = 1 << 16


# Of translators to IPv4 in a network of one's own, of sites, and of IPv4 as it was once wrapped.
_PRIVATE = [ipaddress.ip_network(net) for net in ("64:ff9b:1::/48", "fec0::/10", "::/96")]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet, also where it is wrapped in another."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None and not is_public(str(inner)):
            return False
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # of translators to IPv4
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if any(ip in network for network in _PRIVATE):
            return False
    return ip.is_global and not ip.is_multicast


def fetched(url: str, hosts: Collection[str], most: int) -> Iterator[bytes]:
    """The bytes behind `url`, in blocks.

    Raises:
        Refused: the host is none of `hosts`, its address is private, it does not answer with
            200, or with more than `most` bytes.
    """
    name = f"the picture at {url[:200]!r}"
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise Refused(422, f"{name}: no URL") from error
    if not hosts:
        raise Refused(422, "URLs are not fetched here: send the picture itself")
    if parts.scheme not in ("http", "https") or parts.username is not None or not url.isascii():
        raise Refused(422, f"{name}: expected a plain http or https URL")
    if host not in hosts or port not in (None, 80, 443):
        raise Refused(422, f"{name}: pictures are fetched from {', '.join(sorted(hosts))} alone")
    port = port or (443 if parts.scheme == "https" else 80)
    try:
        with contextlib.closing(_connected(parts.scheme, host, port, name)) as connection:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"User-Agent": "tbgrid", "Accept": "image/*"})
            with contextlib.closing(connection.getresponse()) as answer:
                if answer.status != 200:
                    raise Refused(422, f"{name}: its server answered {answer.status}")
                size, deadline = 0, time.monotonic() + _WHOLE
                while block := answer.read1(_BLOCK):
                    size += len(block)
                    if size > most:
                        raise Refused(413, f"{name} has more than the {most} bytes that are taken")
                    if time.monotonic() > deadline:
                        raise Refused(422, f"{name} does not come to an end")
                    yield block
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refused(422, f"{name} cannot be fetched ({type(error).__name__})") from error


def _connected(scheme: str, host: str, port: int, name: str) -> http.client.HTTPConnection:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(map(is_public, addresses)):
        raise Refused(422, f"{name}: its address is not public")
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    plain = socket.create_connection((addresses[0], port), _PATIENCE)
    if scheme == "https":
        try:
            plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
    connection.sock = plain
    return connection
