"""The login form's Python side, driven by the messages that its views send."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comm
import pytest
from comm.base_comm import BaseComm
from IPython.utils.capture import capture_output

import m3ter_nb.form
from m3ter_nb.errors import ConnectionFailed, CredentialsMissing, LoginRefused, M3terError
from m3ter_nb.form import LoginCard, LoginForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

KEY_ID = "an-access-key-id"
SECRET = "a-secret-that-must-not-rest"
SENTENCE = (
    "m3ter login form: run this cell to log in. No form to see then? %m3ter_login --prompt asks instead."
)
CARD = LoginCard(
    "Logged in to m3ter",
    (("Organization", "Umbra"), ("Time left", "5 h 00 min, renews by itself")),
    "PRODUCTION",
    ("White space around the API Secret was removed.",),
    counting="Time left",
    expires_at=1_700_018_000.0,
    renews=True,
)


class RecordingComm(BaseComm):
    """A comm without a front end, which keeps all that the form would publish."""

    published: list[Any]

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Keep a message instead of sending it."""
        self.__dict__.setdefault("published", []).append((msg_type, data, metadata, buffers, keys))


@pytest.fixture(autouse=True)
def recording_comms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record what is published."""
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def make_form() -> Iterator[Callable[..., LoginForm]]:
    """Make forms, and close them afterwards."""
    made: list[LoginForm] = []

    def make(
        on_submit: Callable[[str, str], LoginCard] = lambda _key_id, _secret: CARD, **options: Any
    ) -> LoginForm:
        form = LoginForm(host="api.m3ter.com", on_submit=on_submit, **options)
        made.append(form)
        return form

    yield make
    for form in made:
        form.close()


def send(form: LoginForm, kind: str, **content: Any) -> None:
    """Deliver a message as the kernel does."""
    form._handle_custom_msg({"type": kind, "turn": form.turn, **content}, [])


def submit(form: LoginForm, key_id: str = KEY_ID, secret: str = SECRET, turn: int | None = None) -> None:
    """Deliver the message of a submit, its fields in a buffer."""
    fields = memoryview(json.dumps({"key_id": key_id, "secret": secret}).encode())
    content = {"type": "submit", "turn": form.turn if turn is None else turn}
    form.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": [fields]})


def raising(error: BaseException) -> Callable[[str, str], LoginCard]:
    """Return an ``on_submit`` that fails."""

    def on_submit(_key_id: str, _secret: str) -> LoginCard:
        raise error

    return on_submit


def test_a_submit_logs_in_once_and_shows_the_card(make_form: Callable[..., LoginForm]) -> None:
    calls = []

    def on_submit(key_id: str, secret: str) -> LoginCard:
        calls.append((key_id, secret))
        return CARD

    form = make_form(on_submit)
    submit(form)

    assert calls == [(KEY_ID, SECRET)]
    assert form.phase == "in"
    assert form.card == {
        "title": "Logged in to m3ter",
        "rows": [["Organization", "Umbra"], ["Time left", "5 h 00 min, renews by itself"]],
        "badge": "PRODUCTION",
        "notes": ["White space around the API Secret was removed."],
        "counting": "Time left",
        "expires_at": 1_700_018_000.0,
        "renews": True,
    }


def test_the_fields_are_read_from_the_content_where_a_front_end_sends_no_buffers(
    make_form: Callable[..., LoginForm],
) -> None:
    form = make_form(lambda key_id, secret: CARD if (key_id, secret) == (KEY_ID, SECRET) else None)
    send(form, "submit", key_id=KEY_ID, secret=SECRET)

    assert form.phase == "in"


def test_a_form_knows_that_a_view_was_drawn_and_whether_buffers_arrive(
    make_form: Callable[..., LoginForm],
) -> None:
    drawn, bare, never = make_form(), make_form(), make_form()
    drawn._handle_custom_msg({"type": "shown"}, [memoryview(b"\0")])
    bare._handle_custom_msg({"type": "shown"}, [])

    assert [(form.seen, form.bare) for form in (drawn, bare, never)] == [
        (True, False),
        (True, True),
        (False, False),
    ]


def test_a_submit_whose_buffer_was_dropped_asks_for_one_more_click_and_then_works(
    make_form: Callable[..., LoginForm],
) -> None:
    form = make_form(lambda key_id, secret: CARD if (key_id, secret) == (KEY_ID, SECRET) else None)
    send(form, "submit")
    first = (form.phase, form.message, form.bare)
    send(form, "submit", key_id=KEY_ID, secret=SECRET)

    assert first == ("unreachable", "This notebook drops what the form sends. Press Log in once more.", True)
    assert form.phase == "in"


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (LoginRefused("Refused: check the key.", status=401), "refused"),
        (CredentialsMissing("The API Secret is empty."), "refused"),
        (ConnectionFailed("api.m3ter.com could not be reached."), "unreachable"),
        (M3terError("Something else."), "unreachable"),
    ],
)
def test_an_error_of_this_package_is_shown_in_its_own_words(
    make_form: Callable[..., LoginForm], error: M3terError, phase: str
) -> None:
    form = make_form(raising(error))
    submit(form)

    assert (form.phase, form.message, form.card) == (phase, str(error), {})


def test_a_foreign_errors_text_is_not_shown_for_it_may_quote_the_secret(
    make_form: Callable[..., LoginForm],
) -> None:
    form = make_form(raising(ValueError(f"cannot encode {SECRET}")))
    submit(form)

    assert form.phase == "unreachable"
    assert form.message == "The login failed inside the kernel (ValueError). Try again."


def test_an_interrupted_login_can_be_tried_again(make_form: Callable[..., LoginForm]) -> None:
    form = make_form(raising(KeyboardInterrupt()))
    submit(form)

    assert (form.phase, form.message) == ("unreachable", "Interrupted before there was an answer. Try again.")


@pytest.mark.parametrize(
    "outcome", [None, LoginRefused("no", status=401), ConnectionFailed("down"), RuntimeError()]
)
def test_secret_and_key_id_rest_nowhere_in_the_kernel(
    make_form: Callable[..., LoginForm], outcome: BaseException | None
) -> None:
    """Neither while the login is under way nor after it, whatever comes of it; and nothing is published."""
    during = []

    def on_submit(key_id: str, secret: str) -> LoginCard:
        during.append(repr((form.get_state(), vars(form))))
        if outcome is not None:
            raise outcome
        return CARD

    form = make_form(on_submit)
    publisher = form.comm
    submit(form)
    everything = repr((during, form.get_state(), vars(form), publisher.published))

    assert len(publisher.published) > 2, "the form is to have published its phases"
    assert SECRET not in everything
    assert KEY_ID not in everything


def test_no_log_record_at_level_debug_holds_the_secret(
    make_form: Callable[..., LoginForm], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    form = make_form()
    submit(form)

    assert "handle_msg" in caplog.text, "the kernel's comm is to have logged the message"
    assert SECRET not in caplog.text
    assert KEY_ID not in caplog.text


def test_the_second_message_of_a_double_click_is_dropped(make_form: Callable[..., LoginForm]) -> None:
    """It was queued while the first was handled, and names the same turn."""
    calls = []

    def on_submit(key_id: str, _secret: str) -> LoginCard:
        calls.append(key_id)
        raise ConnectionFailed("down")

    form = make_form(on_submit)
    turn = form.turn
    submit(form, turn=turn)
    submit(form, turn=turn)
    assert calls == [KEY_ID]
    submit(form)

    assert calls == [KEY_ID, KEY_ID]


def test_a_submit_from_another_thread_while_one_is_under_way_does_nothing(
    make_form: Callable[..., LoginForm],
) -> None:
    calls = []
    under_way, may_end = threading.Event(), threading.Event()

    def on_submit(key_id: str, _secret: str) -> LoginCard:
        calls.append(key_id)
        under_way.set()
        assert may_end.wait(10)
        return CARD

    form = make_form(on_submit)
    first = threading.Thread(target=submit, args=(form,))
    first.start()
    assert under_way.wait(10)
    submit(form)
    may_end.set()
    first.join(10)

    assert (calls, form.phase) == ([KEY_ID], "in")


@pytest.mark.parametrize(
    ("content", "buffers"),
    [
        (None, []),
        ("submit", []),
        ({}, None),
        ({"type": "unknown"}, []),
        ({"type": "demo"}, []),
        ({"type": "sandbox"}, []),
        ({"type": "logout"}, []),
        ({"type": "keep"}, []),
    ],
)
def test_a_message_that_means_nothing_here_changes_nothing(
    make_form: Callable[..., LoginForm], content: Any, buffers: Any
) -> None:
    form = make_form()
    before = form.get_state()
    form._handle_custom_msg(content, buffers)

    assert form.get_state() == before


@pytest.mark.parametrize(
    "buffer", [b"\xff", b"[]", b"null", b'{"key_id": "x"}', b'{"key_id": 1, "secret": 2}']
)
def test_a_submit_that_cannot_be_read_says_so_and_logs_in_to_nothing(
    make_form: Callable[..., LoginForm], buffer: bytes
) -> None:
    form = make_form(raising(AssertionError("must not be called")))
    form._handle_custom_msg({"type": "submit"}, [memoryview(buffer)])

    assert form.phase == "refused"
    assert form.message == "The form's message was not understood: type both fields and try again."


@pytest.mark.parametrize(
    ("offered", "content", "asked"),
    [
        (True, {"remember": True}, True),
        (True, {}, False),
        (True, {"remember": "yes"}, False),
        (False, {"remember": True}, False),
    ],
)
def test_a_submit_asks_to_remember_only_by_a_tick_that_was_offered(
    make_form: Callable[..., LoginForm], *, offered: bool, content: dict[str, Any], asked: bool
) -> None:
    heard = []
    form = make_form(lambda *_: heard.append(form.remember_asked) or CARD, remember_offered=offered)

    send(form, "submit", key_id=KEY_ID, secret=SECRET, **content)

    assert heard == [asked]


def test_a_tick_of_the_login_before_is_off_for_the_next(make_form: Callable[..., LoginForm]) -> None:
    form = make_form(remember_offered=True)
    send(form, "submit", key_id=KEY_ID, secret=SECRET, remember=True)
    send(form, "other")

    send(form, "submit", key_id=KEY_ID, secret=SECRET)

    assert not form.remember_asked
    assert not form.remember


def test_a_tick_that_is_not_offered_is_not_on_either(make_form: Callable[..., LoginForm]) -> None:
    assert not make_form(remember=True).remember
    assert make_form(remember=True, remember_offered=True).remember


def test_the_demo_login_needs_no_secret(make_form: Callable[..., LoginForm]) -> None:
    form = make_form(on_demo=lambda: CARD)
    assert form.demo_offered
    send(form, "demo")

    assert form.phase == "in"


def test_a_sandbox_started_from_the_form_can_then_be_offered(make_form: Callable[..., LoginForm]) -> None:
    def start() -> None:
        form.set_host("127.0.0.1:8080")
        form.offer_demo(lambda: CARD)

    form = make_form(on_sandbox=start, place="page")
    assert (form.sandbox_offered, form.place, form.demo_offered) == (True, "page", False)
    send(form, "sandbox")

    assert (form.phase, form.host, form.demo_offered) == ("empty", "127.0.0.1:8080", True)


def test_log_out_empties_the_form_and_forgets_the_card(make_form: Callable[..., LoginForm]) -> None:
    calls: list[str] = []
    form = make_form(on_logout=lambda: calls.append("out"))
    submit(form)
    send(form, "logout")

    assert (calls, form.phase, form.message, form.card) == (
        ["out"],
        "empty",
        "Logged out. This form logs in again.",
        {},
    )


def test_a_logout_that_fails_says_why(make_form: Callable[..., LoginForm]) -> None:
    def on_logout() -> None:
        raise M3terError("Could not log out.")

    form = make_form(on_logout=on_logout)
    submit(form)
    send(form, "logout")

    assert form.message == "Could not log out."


def test_other_credentials_keep_the_login_until_they_are_accepted(
    make_form: Callable[..., LoginForm],
) -> None:
    form = make_form()
    submit(form)
    send(form, "other")
    assert (form.phase, form.card["title"]) == ("empty", "Logged in to m3ter")
    send(form, "keep")

    assert form.phase == "in"


def test_a_submit_on_the_card_does_nothing(make_form: Callable[..., LoginForm]) -> None:
    calls = []

    def on_submit(key_id: str, _secret: str) -> LoginCard:
        calls.append(key_id)
        return CARD

    form = make_form(on_submit)
    submit(form)
    submit(form)

    assert calls == [KEY_ID]


def test_showing_the_form_publishes_the_sentence_and_then_the_widget(
    make_form: Callable[..., LoginForm], shell: InteractiveShell
) -> None:
    with capture_output() as captured:
        shell.user_ns["form"] = make_form()
        shell.run_cell("form").raise_error()
    sentence, widget = (output.data for output in captured.outputs)

    assert sentence["text/plain"] == SENTENCE
    assert f">{SENTENCE}</p>" in sentence["text/html"]
    assert widget["text/plain"] == ""
    assert "application/vnd.jupyter.widget-view+json" in widget


def test_showing_a_closed_form_publishes_the_sentence_alone(
    make_form: Callable[..., LoginForm], shell: InteractiveShell
) -> None:
    shell.user_ns["form"] = make_form()
    shell.user_ns["form"].close()
    with capture_output() as captured:
        shell.run_cell("form").raise_error()

    assert [output.data["text/plain"] for output in captured.outputs] == [SENTENCE]
    assert "Error" not in captured.stdout + captured.stderr, "IPython prints what a display raises"


def test_its_repr_is_one_fixed_sentence_in_every_phase(make_form: Callable[..., LoginForm]) -> None:
    form = make_form()
    submit(form)

    assert repr(form) == str(form) == SENTENCE


def test_no_thread_watches_its_files(make_form: Callable[..., LoginForm]) -> None:
    before = threading.active_count()
    make_form()

    assert threading.active_count() == before


@pytest.mark.parametrize(
    "forbidden", ["console.", "innerHTML", "fetch(", "import ", "localStorage", "save_changes"]
)
def test_the_views_code_prints_parses_loads_stores_and_syncs_nothing(forbidden: str) -> None:
    code = (Path(m3ter_nb.form.__file__).parent / "form.js").read_text()

    assert forbidden not in code
