"""What usage needs of a login: reading as a session does, and sending bytes with the token.

``usage`` imports no session: a session hands itself over as a :class:`Reader`, and its token source and transport as
a :class:`Channel`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from m3ter_nb.auth.signed_call import send_signed
from m3ter_nb.errors import UnexpectedAnswer
from m3ter_nb.wire.encoding import decode_body
from m3ter_nb.wire.hosts import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.errors import M3terError
    from m3ter_nb.wire.answer import Answer
    from m3ter_nb.wire.transport import Transport

__all__ = ["Channel", "Reader"]

_JSON = {"Content-Type": "application/json"}


class Reader(Protocol):
    """What usage asks of the API; a session is one."""

    @property
    def org_id(self) -> str:
        """The organization."""

    @property
    def base_url(self) -> str:
        """Of the API."""

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Make one call and return its JSON."""

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """Yield every item of a list."""


class Channel:
    """Sends measurements, ready as bytes. Safe to share between threads.

    Args:
        source: gives the token.
        transport: to the ingest host.
        url: that measurements are posted to.
        explain: makes an error of an answer that is a refusal, and of the ``token`` that it refused.
    """

    def __init__(
        self,
        source: TokenSource,
        transport: Transport,
        url: str,
        explain: Callable[..., M3terError],
    ) -> None:
        self._source = source
        self._transport = transport
        self._url = url
        self._explain = explain
        self.notify = transport.notify
        self.clock = source.clock

    @property
    def source(self) -> TokenSource:
        """What gives the token."""
        return self._source

    def for_workers(self) -> dict[str, Any]:
        """Return what a channel elsewhere is made of, without the token."""
        return {
            "base_url": self._transport.base_url,
            "timeout": self._transport.timeout,
            "url": self._url,
            "explain": self._explain,
        }

    def send(self, body: bytes, turn: Callable[[], None]) -> M3terError | None:
        """Post a body, once, but again with a new token where its age was the reason of a refusal.

        Args:
            body: a request of measurements that all have a uid.
            turn: waits for this request's turn.

        Returns:
            None where m3ter has accepted it, else the error that its answer stands for.

        Raises:
            ConnectionFailed: nothing came, or something broken; m3ter may have taken it.
            NotLoggedIn, LoginRefused: there is no token, and none to be had.
        """
        # Before the request and not within it: its time does not run while it waits for its turn.
        turn()
        answer, token = send_signed(
            self._source, self._transport, "POST", self._url, body=body, headers=_JSON, repeatable=False
        )
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return self._odd(answer)
        return self._explain(answer, token=token)

    def _odd(self, answer: Answer) -> M3terError | None:
        """Return an error for an answer that is not m3ter's "accepted": a captive portal says 200 to everything."""
        decoded, _ = decode_body(answer.content)
        if isinstance(decoded, dict) and decoded.get("result") == "accepted":
            return None
        return UnexpectedAnswer(
            f"{origin(self._url)[1]} answered measurements with something else than accepted. Check the base URL."
        )
