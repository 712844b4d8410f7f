"""Key, secret, host and organization of a profile in the keychain of the operating system, by ``keyring``.

A keychain may be absent, null, locked, or wait for a person who is not there (https://github.com/jaraco/keyring), so it
is asked in a thread of its own, for three seconds, and whatever it raises means that it is of no use now.
"""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Never

from m3ter_nb.auth.cleaning import BASE_URL, ORG_ID, clean
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.errors import InvalidArgument, KeychainUnavailable, M3terError
from m3ter_nb.hiding import Sealed, without_frames
from m3ter_nb.spelling import with_literal_repr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEYCHAIN", "SERVICE", "Entry", "Keychain"]

#: Under which name the entries are kept; the user name of each is its profile's name.
SERVICE = "m3ter_nb"
# Seconds: after that gh and the Databricks CLI too take a keychain for locked.
_ANSWER_TIMEOUT = 3.0
# keyring's own word for a backend that it recommends (keyring.core.recommended); files of plain text are below it.
_LEAST_PRIORITY = 1


@with_literal_repr
@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """What is remembered of one profile.

    Attributes:
        profile: its name.
        credentials: the pair.
        base_url: the host that they may go to, and no other.
        org_id: the organization, or None where it was not known.
    """

    profile: str
    credentials: Credentials
    base_url: str
    org_id: str | None = None

    def __repr__(self) -> str:
        return f"Entry({self.profile!r}, hidden)"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("A remembered entry is not pickled: the secret would be written in clear.")


class Keychain:
    """The keychain of the operating system, asked without waiting for ever.

    Args:
        timeout: seconds that it may take to answer.
    """

    def __init__(self, timeout: float = _ANSWER_TIMEOUT) -> None:
        self._timeout = timeout
        self._late: dict[str, queue.SimpleQueue[_Answer]] = {}

    def check(self) -> None:
        """Make sure that there is one.

        Raises:
            KeychainUnavailable: there is none, it does not answer, or it raises.
        """
        self._ask("", lambda _backend: None)

    @without_frames
    def read(self, profile: str) -> Entry | None:
        """Return what is remembered of a profile, None where that is nothing.

        An answer that came too late for an earlier question serves this one.

        Raises:
            KeychainUnavailable: there is none, it does not answer, it raises, or the entry is not as ours are.
        """
        text = self._ask(profile, lambda backend: backend.get_password(SERVICE, profile))
        return None if text is None else _parse(text, profile)

    @without_frames
    def write(self, entry: Entry) -> None:
        """Keep an entry, and make sure that it is there.

        Raises:
            KeychainUnavailable: as :meth:`read`, or what was written is not what is read back.
        """
        self._ask("", lambda backend: backend.set_password(SERVICE, entry.profile, _text(entry)))
        if self.read(entry.profile) != entry:
            raise KeychainUnavailable("the keychain took the entry but does not give it back")

    @without_frames
    def delete(self, profile: str) -> bool:
        """Take a profile out; tell whether it was there.

        Raises:
            KeychainUnavailable: as :meth:`read`, or it is still there afterwards.
        """
        if not self._holds(profile):
            return False
        self._ask("", lambda backend: backend.delete_password(SERVICE, profile))
        if self._holds(profile):
            raise KeychainUnavailable("the keychain did not take the entry out")
        return True

    def _holds(self, profile: str) -> bool:
        return self._ask(profile, lambda backend: backend.get_password(SERVICE, profile)) is not None

    def _ask(self, profile: str, question: Callable[[Any], str | None]) -> str | None:
        if find_spec("keyring") is None:
            from m3ter_nb.extras import install_command

            raise KeychainUnavailable(
                f"the package keyring is not installed (run  {install_command('keyring')})"
            )
        answers = self._late.pop(profile, None) if profile else None
        if answers is None:
            answers = queue.SimpleQueue()
            threading.Thread(
                target=_answer, args=(question, answers), name="m3ter_nb keychain", daemon=True
            ).start()
        try:
            answer = answers.get(timeout=self._timeout)
        except queue.Empty:
            if profile:
                self._late[profile] = answers
            raise KeychainUnavailable(
                f"the keychain did not answer within {self._timeout:g} s: it may be locked, or wait for a person",
                locked=True,
            ) from None
        if answer.trouble:
            raise KeychainUnavailable(answer.trouble, locked=answer.locked)
        return None if answer.text is None else answer.text.open()


@dataclass(frozen=True, slots=True, repr=False)
class _Answer:
    text: Sealed | None = None  # one that comes late waits here
    trouble: str = ""
    locked: bool = False


def _answer(question: Callable[[Any], str | None], answers: queue.SimpleQueue[_Answer]) -> None:
    """Put a question to the backend that keyring chooses. Choosing asks the system too, and may take as long."""
    answer = _Answer(trouble="the keychain refused, or failed")
    # A backend raises what it likes (GLib.Error, a panic of native code): all of it means the same.
    with suppress(BaseException):
        import keyring
        from keyring.errors import KeyringLocked

        backend = keyring.get_keyring()
        absent = backend.priority < _LEAST_PRIORITY
        if absent:
            answer = _Answer(trouble="this machine has no keychain that keyring recommends")
        else:
            try:
                text = question(backend)
                answer = _Answer(None if text is None else Sealed(text))
            except KeyringLocked:  # and nobody there, or no screen, to be asked for its password
                answer = _Answer(trouble="the keychain is locked", locked=True)
    answers.put(answer)


def _text(entry: Entry) -> str:
    return json.dumps(
        {
            "profile": entry.profile,
            "host": entry.base_url,
            "org_id": entry.org_id,
            "key_id": entry.credentials.key_id,
            "secret": entry.credentials.reveal_secret(),
        }
    )


def _parse(text: str, profile: str) -> Entry | None:
    """Read an entry; one of another name, as a keychain without upper and lower case gives it, is none."""
    try:
        fields = json.loads(text)
        if fields["profile"] != profile:
            return None
        source = f"the profile {profile} in the keychain"
        return Entry(
            profile,
            Credentials.pasted(fields["key_id"], fields["secret"], source=source),
            clean(fields["host"], BASE_URL)[0],
            clean(fields["org_id"] or "", ORG_ID)[0] or None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, M3terError):
        raise KeychainUnavailable(
            f"the keychain's entry {SERVICE}/{profile} is not as m3ter_nb writes it; %m3ter_logout --forget {profile} "
            "takes it out"
        ) from None


#: The one of this process.
KEYCHAIN = Keychain()
