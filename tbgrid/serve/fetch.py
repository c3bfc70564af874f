"""Images by URL, from hosts that the operator allows, and never from private addresses.

A host name is resolved once, and the connection goes to the address that was checked: a DNS server
cannot redirect it with a second answer. Redirects are not followed.
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

from tbgrid.serve.errors import RequestError
from tbgrid.serve.limits import format_bytes

_TIMEOUT = 10.0  # s for each read from the other server
_TOTAL_TIMEOUT = 60.0  # s for a whole image
_BLOCK = 1 << 16

# Local-use NAT64, site-local, and IPv4-compatible addresses.
_PRIVATE = [ipaddress.ip_network(net) for net in ("64:ff9b:1::/48", "fec0::/10", "::/96")]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is a public one, also where it embeds an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None and not is_public(str(inner)):
            return False
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if any(ip in network for network in _PRIVATE):
            return False
    return ip.is_global and not ip.is_multicast


def fetch_image(url: str, hosts: Collection[str], limit: int) -> Iterator[bytes]:
    """Download an image, block by block.

    Args:
        url: an http or https URL on a standard port.
        hosts: host names that images may be fetched from, in lower case.
        limit: bytes, at most.

    Yields:
        The bytes of the response, in blocks of at most 64 KiB.

    Raises:
        RequestError: if the URL, its host or its address is not allowed, the server cannot be
            reached, does not answer with status 200, or sends more than `limit` bytes.
    """
    name = f"the image at {url[:200]!r}"
    scheme, host, port, target = _split_url(url, hosts, name)
    try:
        with contextlib.closing(_connect(scheme, host, port, name)) as connection:
            connection.request("GET", target, headers={"User-Agent": "tbgrid", "Accept": "image/*"})
            with contextlib.closing(connection.getresponse()) as response:
                if response.status != 200:
                    raise RequestError(422, f"{name}: its server answered {response.status}")
                size, deadline = 0, time.monotonic() + _TOTAL_TIMEOUT
                while block := response.read1(_BLOCK):
                    size += len(block)
                    if size > limit:
                        raise RequestError(
                            413, f"{name} exceeds the limit of {format_bytes(limit)}"
                        )
                    if time.monotonic() > deadline:
                        raise RequestError(422, f"timed out while downloading {name}")
                    yield block
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RequestError(422, f"cannot download {name} ({type(error).__name__})") from error


def _split_url(url: str, hosts: Collection[str], name: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and request target of a URL that is allowed."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise RequestError(422, f"{name}: not a valid URL") from error
    if not hosts:
        raise RequestError(422, "this server does not fetch URLs: send the image itself")
    if parts.scheme not in ("http", "https") or parts.username is not None or not url.isascii():
        raise RequestError(422, f"{name}: expected a plain http or https URL")
    if host not in hosts or port not in (None, 80, 443):
        raise RequestError(422, f"{name}: images are fetched only from {', '.join(sorted(hosts))}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target


def _connect(scheme: str, host: str, port: int, name: str) -> http.client.HTTPConnection:
    """A connection to an address that was checked."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in entries]
    if not addresses or not all(map(is_public, addresses)):
        raise RequestError(422, f"{name}: its address is not public")
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    plain = socket.create_connection((addresses[0], port), _TIMEOUT)
    if scheme == "https":
        try:
            plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
    connection.sock = plain
    return connection
