"""Every error that m3ter_nb raises, grouped by what the user does next.

::

    M3terError
    ├── InvalidArgument            mend the call (nothing was sent)
    │   ├── UnsafeDestination      a host that must not see the token
    │   ├── UsageInvalid           rows that cannot be sent; nothing was
    │   └── ConfirmationNeeded     a write to PRODUCTION that nobody confirmed
    ├── MissingExtra               install the extra it names
    ├── CredentialsError           mend the key id, the secret or where they come from
    │   ├── CredentialsMissing     nothing to log in with, or only half of it
    │   ├── CredentialsConflict    two sources contradict each other
    │   ├── KeychainUnavailable    the keychain of the system is not there, or locked
    │   ├── LoginRefused           m3ter does not accept this key id and secret
    │   └── OrganizationMismatch   the token belongs to another organization
    ├── NotLoggedIn                run %m3ter_login
    │   └── TokenExpired           the token ended and cannot be renewed
    ├── ConnectionFailed           check the network and the host, then run the cell again
    │   ├── ConnectionTimeout      no answer in time
    │   ├── ConnectionBroken       it broke before the answer was complete
    │   ├── SubmissionIncomplete   not all rows were sent; run it again, it goes on
    │   └── UnexpectedAnswer       something answered, but not as m3ter does
    ├── MeasurementsRefused        m3ter accepted rows and then refused them; see submission.refused
    └── ApiError                   m3ter refused the request; its own message is in the text
        ├── BadRequest             400, 413, 422: mend the request
        ├── Forbidden              401, 403: permission, organization, size or firewall
        ├── NotFound               404: no such id or path
        ├── Conflict               409: it clashes with what is stored
        │   └── VersionConflict    the entity changed since it was read
        ├── RateLimited            429: come back later
        └── ServerError            5xx: not your fault; try again later

A message says what happened, the likely cause, and the next step, and never holds a secret or a token.
``Interrupted`` stands beside the tree: it is a ``KeyboardInterrupt``, which ``except Exception`` must not catch.
In a notebook each error is a single line, and still a real error that fails the cell: IPython calls
``_render_traceback_`` where an exception has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.spelling import fold, literal, printable, spell_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import requests

__all__ = [
    "ApiError",
    "BadRequest",
    "ConfirmationNeeded",
    "Conflict",
    "ConnectionBroken",
    "ConnectionFailed",
    "ConnectionTimeout",
    "CredentialsConflict",
    "CredentialsError",
    "CredentialsMissing",
    "Forbidden",
    "Interrupted",
    "InvalidArgument",
    "KeychainUnavailable",
    "LoginRefused",
    "M3terError",
    "M3terWarning",
    "MeasurementsRefused",
    "MissingExtra",
    "NotFound",
    "NotLoggedIn",
    "OrganizationMismatch",
    "RateLimited",
    "ServerError",
    "SubmissionIncomplete",
    "TokenExpired",
    "UnexpectedAnswer",
    "UnsafeDestination",
    "UsageInvalid",
    "VersionConflict",
    "excerpt",
]


# Not the wide space of East Asian names, nor the one that does not break.
_GAPS: Final = "[ \t-\r\x1c-\x1f\x85\u2028\u2029]+"


class M3terError(Exception):
    """Root of all errors of this package; ``except M3terError`` catches every one.

    Attributes:
        items: of a list whose reading an error has cut short, what came before; else None.
    """

    items: list[Any] | None = None

    def __str__(self) -> str:
        """Return the message, as one line that any terminal takes: parts of it may come from elsewhere."""
        return printable(spell_out(super().__str__()))

    def __repr__(self) -> str:
        return literal(super().__repr__())

    def _render_traceback_(self) -> list[str]:
        """Show one line instead of a traceback (IPython's protocol for tidy errors); in a terminal, as many as it takes."""
        return fold(f"{type(self).__name__}: {self}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes, all attributes but the response with it."""
        state = {
            name: None if name in ("_respond", "_response") else value
            for name, value in self.__dict__.items()
        }
        return _unpickled, (type(self), self.args, state)


def excerpt(text: str, longest: int) -> str:
    """Return a text as a message quotes it: on one line, and cut to a number of characters."""
    line = re.sub(_GAPS, " ", text).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _unpickled(kind: type[M3terError], args: tuple[Any, ...], state: dict[str, Any]) -> M3terError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class M3terWarning(UserWarning):
    """A call that is likely to mean something else than was meant: a filter or a field that the API does not know."""

    def __str__(self) -> str:
        return printable(spell_out(super().__str__()))

    def __repr__(self) -> str:
        return literal(super().__repr__())


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or Interrupt while a request or a wait was under way; shown as one line, as the errors are."""

    def _render_traceback_(self) -> list[str]:
        return fold(f"{type(self).__name__}: {self}")


class InvalidArgument(M3terError, ValueError):
    """The call itself is wrong; nothing was sent."""


class UnsafeDestination(InvalidArgument):
    """The token or the secret would have gone to a host, or over a scheme, that must not see it."""


class ConfirmationNeeded(InvalidArgument):
    """A write to a PRODUCTION organization that nobody confirmed."""


class MissingExtra(M3terError, ImportError):
    """An optional dependency is not installed; the message names the command that installs it."""


class CredentialsError(M3terError):
    """The key id and the secret are missing, contradictory or refused."""


class CredentialsMissing(CredentialsError):
    """There is nothing to log in with, or only half of it."""


class CredentialsConflict(CredentialsError):
    """Two sources, or two variables of one source, contradict each other."""


class KeychainUnavailable(CredentialsError):
    """The keychain of the operating system is not there, does not answer, or does not keep what it is given.

    Attributes:
        locked: whether it did not answer in time, so that it may well hold what was asked for.
    """

    def __init__(self, message: str, *, locked: bool = False) -> None:
        super().__init__(message)
        self.locked = locked


class LoginRefused(CredentialsError):
    """m3ter answered the token request with a refusal.

    Attributes:
        status: the HTTP status of the refusal.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class OrganizationMismatch(CredentialsError):
    """The token was issued for another organization than the one asked for."""


class NotLoggedIn(M3terError):
    """No token yet."""


class TokenExpired(NotLoggedIn):
    """The token has ended and nothing is left to renew it with."""


class ConnectionFailed(M3terError):
    """The host could not be reached, or the connection broke."""


class ConnectionTimeout(ConnectionFailed):
    """The host did not answer within the timeout."""


class ConnectionBroken(ConnectionFailed):
    """The connection broke after the request had begun to travel; it may have been carried out."""


class UnexpectedAnswer(ConnectionFailed):
    """Something answered, but not as m3ter does (HTML, truncated JSON, a missing field, too many bytes)."""


class UsageInvalid(InvalidArgument):
    """Usage has rows that cannot be sent; nothing was sent.

    Attributes:
        report: the ``m3ter_nb.UsageReport``: what the check has found.
    """

    def __init__(self, message: str, *, report: Any) -> None:
        super().__init__(message)
        self.report = report


class SubmissionIncomplete(ConnectionFailed):
    """Usage was not sent to its end; sent again, it goes on where it stopped, and what is in doubt counts once.

    Attributes:
        submission: the ``m3ter_nb.Submission``: what has become of the rows so far.
    """

    def __init__(self, message: str, *, submission: Any) -> None:
        super().__init__(message)
        self.submission = submission


class MeasurementsRefused(M3terError):
    """m3ter has refused rows of usage, most likely after it had accepted them.

    Attributes:
        submission: the ``m3ter_nb.Submission``; ``submission.refused`` are those.
    """

    def __init__(self, message: str, *, submission: Any) -> None:
        super().__init__(message)
        self.submission = submission


class ApiError(M3terError):
    """m3ter answered a call with an error status.

    Attributes:
        status: the HTTP status.
        method: the HTTP method, upper case.
        path: the path of the call, without host.
        reason: m3ter's own message, or ``""`` where it sent none.

    Args:
        response: makes the ``requests.Response``, for whoever asks.
    """

    _response: requests.Response | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int,
        method: str,
        path: str,
        reason: str = "",
        response: Callable[[], requests.Response] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.method = method
        self.path = path
        self.reason = reason
        self._respond = response

    @property
    def response(self) -> requests.Response | None:
        """The answer as ``requests`` has it, its request's Authorization header masked; None in another process."""
        if self._response is None and self._respond is not None:
            self._response = self._respond()
        return self._response


class BadRequest(ApiError):
    """400, 413 or 422: the request is malformed, incomplete or too large to answer."""


class Forbidden(ApiError):
    """401 or 403: a missing permission, another organization, an over-long body, the firewall, or an old token."""


class NotFound(ApiError):
    """404: no such id or path."""


class Conflict(ApiError):
    """409: the call clashes with what is stored, such as a code that is taken; nothing was changed."""


class VersionConflict(Conflict):
    """The entity was changed by someone else since it was read; nothing was overwritten.

    Attributes:
        changes: what they changed, where it was read again (:class:`m3ter_nb.api.update.Change`).
    """

    changes: Sequence[Any] = ()


class RateLimited(ApiError):
    """429: too many requests.

    Attributes:
        retry_after: seconds to wait, where the server said so.
    """

    retry_after: float | None = None


class ServerError(ApiError):
    """A status of 500 or more."""
