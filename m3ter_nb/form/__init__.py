"""The login form: an ipywidgets widget whose secret never rests anywhere but in the browser's own input.

The two inputs are plain DOM inputs in a real ``<form>`` (form.js, form.css). On submit they travel once, as the
binary buffer of one custom message on the kernel's shell channel: not as a synced trait (which ipywidgets would save
in the notebook and echo to every client), and not in the message's content (which ipykernel and ``comm`` write to
their logs at level DEBUG). Each view says that it was drawn, with a buffer of one byte: a front end that drops buffers
is known by that, and there alone the fields travel in the content, as the answer to a prompt does.

The form does no network of its own; the callables it is given do.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from IPython.display import publish_display_data

from m3ter_nb.errors import CredentialsError, M3terError
from m3ter_nb.spelling import spell_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LOGGED_OUT", "LoginCard", "LoginForm"]

#: What a form says once its login is gone.
LOGGED_OUT = "Logged out. This form logs in again."

_HERE = Path(__file__).parent
_SENTENCE = (
    "m3ter login form: run this cell to log in. No form to see then? %m3ter_login --prompt asks instead."
)

# What a saved notebook shows where the widget is gone. JupyterLab prints "Error displaying widget: model not found"
# for a widget-view output without a live model and offers no hook, so the sentence is an output of its own, put
# before the widget's, and its style shows exactly one of the two. The last rule serves front ends that do not have
# JupyterLab's output markup (VS Code, Colab).
_SENTENCE_HTML = f"""\
<p class="m3ter-nb-saved">{_SENTENCE}</p>
<style>
.jp-OutputArea-child:has(.m3ter-nb-saved):has(+ .jp-OutputArea-child .m3ter-nb-form) {{ display: none; }}
.jp-OutputArea-child:has(.m3ter-nb-saved):not(:has(+ .jp-OutputArea-child .m3ter-nb-form))
  + .jp-OutputArea-child:has(.jupyter-widgets) {{ display: none; }}
body:not(:has(.jp-OutputArea)):has(.m3ter-nb-form) .m3ter-nb-saved {{ display: none; }}
</style>"""


@dataclass(frozen=True)
class LoginCard:
    """What the form shows once it has logged in; holds neither a secret nor a token.

    Attributes:
        title: one sentence.
        rows: pairs of a label and a value.
        badge: a word beside the title: ``"PRODUCTION"``, ``"SANDBOX"``, ``"UNKNOWN"``.
        notes: further sentences.
        counting: the label of the row that counts down to ``expires_at``; ``""`` for none.
        expires_at: when the token ends, in unix seconds; ``None`` where unknown.
        renews: whether the token is renewed by itself before it ends.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    badge: str = ""
    notes: tuple[str, ...] = ()
    counting: str = ""
    expires_at: float | None = None
    renews: bool = False


class LoginForm(anywidget.AnyWidget):
    """A login form for a notebook, and the card that follows it.

    Every view of the form follows ``phase``: ``empty``, ``busy``, ``refused``, ``unreachable`` or ``in``. Messages
    may arrive on a thread of their own (JupyterLab 4.4 and ipykernel 7 send them to a subshell), so one action runs
    at a time, and a message written before the latest action began is dropped: a double click sends one login.

    Args:
        host: the API host that the form will log in to, without scheme.
        on_submit: logs in with a key id and a secret, or raises ``M3terError``.
        on_demo: logs in with the sandbox's public demo credentials; ``None`` does not offer that.
        on_logout: forgets the login; ``None`` shows no *Log out* button.
        on_sandbox: starts the sandbox; ``None`` does not offer that.
        place: where real secrets do not belong, and the form says so: ``"binder"``, ``"page"``, ``""`` for elsewhere.
        notice: one sentence above the inputs, for example why the form is there.
        doubt: why the secret should not go to this host without a second look; ``""`` where there is no reason.
        remember_offered: whether to offer that the login is remembered on this computer.
        remember: whether that tick is on before anybody has touched it.

    Attributes:
        remember_asked: whether the tick was on in the submit that is under way.
    """

    _esm = _HERE / "form.js"
    _css = _HERE / "form.css"

    phase = traitlets.Unicode("empty").tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)
    notice = traitlets.Unicode("").tag(sync=True)
    host = traitlets.Unicode("").tag(sync=True)
    doubt = traitlets.Unicode("").tag(sync=True)
    bare = traitlets.Bool(False, help="Whether the front end drops the buffers of messages.").tag(sync=True)
    card = traitlets.Dict().tag(sync=True)
    turn = traitlets.Int(0, help="Counts the actions begun; a message names the turn it was written in.").tag(
        sync=True
    )
    place = traitlets.Unicode("").tag(sync=True)
    demo_offered = traitlets.Bool(False).tag(sync=True)
    sandbox_offered = traitlets.Bool(False).tag(sync=True)
    logout_offered = traitlets.Bool(False).tag(sync=True)
    remember_offered = traitlets.Bool(False).tag(sync=True)
    remember = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        *,
        host: str,
        on_submit: Callable[[str, str], LoginCard],
        on_demo: Callable[[], LoginCard] | None = None,
        on_logout: Callable[[], None] | None = None,
        on_sandbox: Callable[[], None] | None = None,
        place: str = "",
        notice: str = "",
        doubt: str = "",
        remember_offered: bool = False,
        remember: bool = False,
    ) -> None:
        self.remember_asked = False
        self._seen = False
        self._on_submit = on_submit
        self._on_demo = on_demo
        self._on_logout = on_logout
        self._on_sandbox = on_sandbox
        self._under_way = threading.Lock()
        super().__init__(
            host=host,
            notice=notice,
            doubt=doubt,
            place=place,
            demo_offered=on_demo is not None,
            sandbox_offered=on_sandbox is not None,
            logout_offered=on_logout is not None,
            remember_offered=remember_offered,
            remember=remember and remember_offered,
        )

    @property
    def seen(self) -> bool:
        """Whether a view of it has been drawn."""
        return self._seen

    def show_card(self, card: LoginCard) -> None:
        """Show the logged-in card in every view; call it again after a renewal to move the countdown."""
        shown = {
            **asdict(card),
            "title": spell_out(card.title),
            "badge": spell_out(card.badge),
            "rows": [[spell_out(text) for text in row] for row in card.rows],
            "notes": [spell_out(note) for note in card.notes],
        }
        self._show("in", card=shown)

    def show_empty(self, message: str = "") -> None:
        """Show the empty form in every view, with a message under it."""
        self._show("empty", message=message, card={})

    def set_host(self, host: str) -> None:
        """Show another host (without scheme) as the one that the form will log in to."""
        self.host = host

    def offer_demo(self, on_demo: Callable[[], LoginCard] | None) -> None:
        """Offer a login with the sandbox's public demo credentials from now on, or stop offering it."""
        self._on_demo = on_demo
        self.demo_offered = on_demo is not None

    def __repr__(self) -> str:
        return _SENTENCE

    def _ipython_display_(self) -> None:
        """Publish the sentence for readers without the widget, then the widget itself."""
        publish: Callable[..., None] = publish_display_data
        publish({"text/plain": _SENTENCE, "text/html": _SENTENCE_HTML})
        # A closed form has no model to show.
        if self.comm is not None and (bundle := super()._repr_mimebundle_()) is not None:
            data, metadata = bundle
            publish({**data, "text/plain": ""}, metadata)

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any] | None) -> None:
        """Act on a message from a view; never raises, since a verbose traceback would print ``content``."""
        if not isinstance(content, dict) or content.get("turn", self.turn) != self.turn:
            return
        self._seen = True  # who sends a message was drawn
        if content.get("type") == "shown":
            self.bare = not buffers
            return
        if not self._under_way.acquire(blocking=False):
            return
        try:
            self._act(content, buffers or [])
        finally:
            self._under_way.release()

    def _act(self, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        kind = content.get("type")
        on_demo, on_logout, on_sandbox = self._on_demo, self._on_logout, self._on_sandbox
        if kind == "submit" and self.phase != "in":
            self._begin()
            self.remember_asked = self.remember_offered and content.get("remember") is True
            fields = _read_fields(content, buffers)
            if fields is None and not buffers:
                self.bare = True
                self._show("unreachable", "This notebook drops what the form sends. Press Log in once more.")
            elif fields is None:
                self._show(
                    "refused", "The form's message was not understood: type both fields and try again."
                )
            else:
                self._attempt(lambda: self.show_card(self._on_submit(*fields)))
        elif kind == "demo" and self.phase != "in" and on_demo is not None:
            self._begin()
            self._attempt(lambda: self.show_card(on_demo()))
        elif kind == "sandbox" and on_sandbox is not None:
            self._begin("Starting the sandbox.")
            self._attempt(on_sandbox)
        elif kind == "logout" and on_logout is not None:
            self._begin("Logging out.")
            self._attempt(on_logout)
            if self.phase == "empty":
                self.show_empty(self.message or LOGGED_OUT)
        elif kind == "other":
            # The card stays, so that the person can go back to the login that still works.
            self._show("empty")
        elif kind == "keep" and self.card:
            self._show("in")

    def _begin(self, message: str = "Logging in.") -> None:
        with self.hold_sync():
            self.turn += 1
            self._show("busy", message)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Run one of the callables and show how it ended."""
        try:
            action()
        except CredentialsError as error:
            self._show("refused", str(error))
        except M3terError as error:
            self._show("unreachable", str(error))
        except KeyboardInterrupt:
            self._show("unreachable", "Interrupted before there was an answer. Try again.")
        except BaseException as error:  # noqa: BLE001 - its text and frames may hold the secret: the type is shown
            self._show(
                "unreachable", f"The login failed inside the kernel ({type(error).__name__}). Try again."
            )
        else:
            if self.phase == "busy":
                self._show("empty")

    def _show(self, phase: str, message: str = "", card: dict[str, Any] | None = None) -> None:
        with self.hold_sync():
            if card is not None:
                self.card = card
            self.message = message
            self.phase = phase


def _read_fields(content: dict[str, Any], buffers: Sequence[Any]) -> tuple[str, str] | None:
    """Read key id and secret from the buffer, or from the content where a front end sends no buffers."""
    try:
        fields = json.loads(bytes(buffers[0])) if buffers else content
        key_id, secret = fields["key_id"], fields["secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (key_id, secret) if isinstance(key_id, str) and isinstance(secret, str) else None
