"""When a request is sent again, and how long to wait before."""

from __future__ import annotations

from http import HTTPStatus
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

from urllib3 import exceptions as u3
from urllib3.util.retry import Retry

from m3ter_nb.wire.answer import Answer

if TYPE_CHECKING:
    from m3ter_nb.errors import ConnectionBroken

__all__ = ["Retrier", "RetryPolicy", "retry_after"]


class RetryPolicy(NamedTuple):
    """How often and how patiently a request is repeated.

    Attributes:
        repeats: how many requests follow the first one, at most.
        first_wait: seconds before the second repeat, doubled for each further one; the first repeat comes at once.
        jitter: seconds, at most, added to each of these waits by chance, so that many clients do not come at once.
        floor: seconds before a repeat after 429 without ``Retry-After``. The limit of an organization lasts "for the
            rest of that second" (https://docs.m3ter.com/guides/m3ter-apis/config-api-limits).
        longest_wait: seconds: a longer ``Retry-After`` is not waited for.
        statuses: 429, and those of a gateway whose origin is briefly away (RFC 9110 section 15.6).
    """

    repeats: int = 3
    first_wait: float = 1.0
    jitter: float = 0.25
    floor: float = 1.0
    longest_wait: float = 60.0
    statuses: frozenset[int] = frozenset(
        {
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        }
    )


class Retrier:
    """Judges the outcomes of one request in turn.

    Args:
        repeatable: whether sending it twice does no more than sending it once. One that was refused with 429 is
            repeated in any case: it was not carried out.
        policy: how often and how patiently.

    Attributes:
        attempts: how many outcomes it has judged.
    """

    __slots__ = ("_policy", "_repeatable", "attempts")

    def __init__(self, policy: RetryPolicy, *, repeatable: bool) -> None:
        self._policy = policy
        self._repeatable = repeatable
        self.attempts = 0

    def __call__(self, outcome: Answer | ConnectionBroken) -> float | None:
        """Return the seconds to wait before the request is sent again; None to leave it at this outcome."""
        self.attempts += 1
        policy = self._policy
        again, asked, floor = self._repeatable, None, 0.0
        if isinstance(outcome, Answer):
            if outcome.status not in policy.statuses:
                return None
            asked = retry_after(outcome)
            if outcome.status == HTTPStatus.TOO_MANY_REQUESTS:
                again, floor = True, policy.floor
        if not again or self.attempts > policy.repeats:
            return None
        if asked is not None:
            return asked if asked <= policy.longest_wait else None
        return max(floor, self._backoff())

    def _backoff(self) -> float:
        if self.attempts == 1:
            return 0.0
        wait = self._policy.first_wait * 2.0 ** (self.attempts - 2)
        return wait + SystemRandom().uniform(0, self._policy.jitter)


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait (RFC 9110 section 10.2.3), or None where it does not say."""
    asked = answer.headers.get("Retry-After")
    try:
        return None if asked is None else Retry().parse_retry_after(asked)
    except (u3.InvalidHeader, ValueError, OverflowError):  # no number and no date, or a date of no calendar
        return None
