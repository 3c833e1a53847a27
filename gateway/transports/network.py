"""The sockets of one HTTP exchange, underneath httpcore: one deadline, checked addresses, and whether the request began.

httpcore starts its time-outs anew with every byte, connects to whatever a name leads to, and cannot say whether anything of the
request has left. So the sockets are ours, and httpcore speaks HTTP over them.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import httpcore

from gateway.transports import hosts, tls
from gateway.transports.errors import NotPublic
from gateway.transports.hosts import Address

#: The longest look at the certificate of a server we already refused.
_LOOK_S: Final = 3.0


class Deadline:
    """The moment after which no operation of one exchange may begin or go on."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, expired: type[httpcore.TimeoutException]) -> float:
        """Seconds, more than zero.

        Raises:
            TimeoutException: the one given, when there are none.
        """
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise expired("the time for the whole exchange is over")
        return seconds


class Network(httpcore.NetworkBackend):
    """Opens the one connection of one exchange.

    Args:
        timeout_s: for the whole exchange, from looking the name up to the last byte of the answer.
        context: for TLS; the one that httpcore hands to ``start_tls`` is not used, because httpcore changes it at every
            connection, which is not safe while other threads use it.
        secure: the request goes over TLS, so what is written before is for a proxy only.
        public_only: connect to addresses on the public internet only.
    """

    def __init__(self, *, timeout_s: float, context: ssl.SSLContext, secure: bool, public_only: bool) -> None:
        self.deadline = Deadline(timeout_s)
        self.context = context
        self.secure = secure
        self.request_began = False  #: some of the request may have left
        self.public_only = public_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; each gets an equal share of the time that is left.

        Raises:
            NotPublic: the name leads to none that may be connected to.
        """
        candidates = self.look_up(host, port)
        failures = []
        for at, address in enumerate(candidates):
            share = self.deadline.left(httpcore.ConnectTimeout) / (len(candidates) - at)
            try:
                return Stream(self._open(address, share), self, address)
            except OSError as exc:
                failures.append(f"{address}: {exc.strerror or exc}")
        raise httpcore.ConnectError("; ".join(failures))

    def look_up(self, host: str, port: int) -> tuple[Address, ...]:
        """The addresses of ``host`` that may be connected to, at least one.

        Raises:
            NotPublic: there are only others.
        """
        try:
            found = hosts.look_up(host, port, timeout_s=self.deadline.left(httpcore.ConnectTimeout))
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(str(exc)) from exc
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(f"{host} has no address: {getattr(exc, 'strerror', None) or exc}") from exc
        if not self.public_only:
            return found
        refused = {address: why for address in found if (why := hosts.why_not_public(address.ip))}
        if len(refused) == len(found):
            named = ", ".join(f"{address.ip} is {why}" for address, why in refused.items())
            raise NotPublic(f"{host} has no address on the public internet: {named}")
        return tuple(address for address in found if address not in refused)

    def certificate_at(self, address: Address, server_hostname: str | None) -> bytes | None:
        """The certificate a server shows, DER, by a connection over which nothing is sent; None when it shows none."""
        with suppress(OSError, ValueError, httpcore.TimeoutException):
            share = min(self.deadline.left(httpcore.ConnectTimeout), _LOOK_S)
            with (
                self._open(address, share) as plain,
                tls.unverified_context().wrap_socket(plain, server_hostname=server_hostname) as secured,
            ):
                return secured.getpeercert(binary_form=True)
        return None

    @staticmethod
    def _open(address: Address, timeout_s: float) -> socket.socket:
        """Connect to exactly this address: no name is looked up again."""
        opened = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            opened.settimeout(timeout_s)
            opened.connect(address.sockaddr)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            opened.close()
            raise
        return opened


class Stream(httpcore.NetworkStream):
    """One connection. Time-outs of the caller are not used: there is one deadline."""

    def __init__(self, opened: socket.socket, network: Network, address: Address, *, tunnelled: bool = False) -> None:
        self._socket = opened
        self._network = network
        self._address = address
        self._spoken = tunnelled  #: through a proxy, so the address is not the server's

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._socket.settimeout(self._network.deadline.left(httpcore.ReadTimeout))
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout("no whole answer in time") from exc
        except ssl.SSLError as exc:
            raise httpcore.ReadError(tls.why_failed(exc)) from exc
        except OSError as exc:
            raise httpcore.ReadError(exc.strerror or str(exc)) from exc

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._is_secured or not self._network.secure:
            self._network.request_began = True
        self._spoken = True
        left = memoryview(buffer)
        while left:
            self._socket.settimeout(self._network.deadline.left(httpcore.WriteTimeout))
            try:
                left = left[self._socket.send(left) :]
            except TimeoutError as exc:
                raise httpcore.WriteTimeout("the other side did not take the request in time") from exc
            except OSError as exc:
                raise httpcore.WriteError(exc.strerror or str(exc)) from exc

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        host = server_hostname or str(self._address)
        try:
            self._socket.settimeout(self._network.deadline.left(httpcore.ConnectTimeout))
            secured = self._network.context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"{host}: no TLS in time") from exc
        except ssl.SSLCertVerificationError as exc:
            shown = None if self._spoken else self._network.certificate_at(self._address, server_hostname)
            raise httpcore.ConnectError(tls.why_not_verified(exc, host, shown)) from exc
        except OSError as exc:
            raise httpcore.ConnectError(f"{host}: {tls.why_failed(exc)}") from exc
        except ValueError as exc:  # a name that no certificate can have
            raise httpcore.ConnectError(f"{host}: {exc}") from exc
        finally:
            self._socket.close()  # wrapped: its descriptor lives on in the other; failed: it is of no use
        return Stream(secured, self._network, self._address, tunnelled=self._spoken)

    def get_extra_info(self, info: str) -> Any:
        return self._socket if info == "ssl_object" and self._is_secured else None

    @property
    def _is_secured(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket)
