"""Rates, faults on demand, and the life of a sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
from werkzeug.routing import Rule

import m3ter_nb
from children import forks, in_a_child
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Sandbox, locks
from m3ter_nb.sandbox.__main__ import main
from sandbox_fixtures import Client, SettableClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PERIOD = {"startDate": "2024-01-01T00:00:00Z", "endDate": "2025-01-01T00:00:00Z"}


@pytest.fixture
def limited(settable_clock: SettableClock) -> Iterator[Client]:
    """Return a client of a sandbox with limits, whose clock stands still."""
    with Sandbox(clock=settable_clock) as sandbox:
        yield Client(sandbox).log_in()


def statuses(api: Client, number: int, path: str = "products") -> list[int]:
    return [api.get(path).status_code for _ in range(number)]


def test_the_51st_request_of_a_second_is_429(limited: Client, settable_clock: SettableClock) -> None:
    in_this_second = statuses(limited, 52)
    settable_clock.advance(1)

    assert in_this_second == [200] * 50 + [429] * 2
    assert statuses(limited, 1) == [200]


def test_a_429_has_no_retry_after_and_the_api_error_shape(limited: Client) -> None:
    statuses(limited, 50)
    answer = limited.get("products")

    assert answer.json() == {"message": "More than 50 requests of the organization in a second"}
    assert "Retry-After" not in answer.headers


def test_the_token_request_is_not_counted(limited: Client) -> None:
    statuses(limited, 51)

    assert limited.token().status_code == 200


def test_the_usage_query_fills_up_at_one_a_second(limited: Client, settable_clock: SettableClock) -> None:
    burst = [limited.post("usage/query", PERIOD).status_code for _ in range(11)]
    settable_clock.advance(2)
    later = [limited.post("usage/query", PERIOD).status_code for _ in range(3)]

    assert burst == [200] * 10 + [429]
    assert later == [200, 200, 429]


def test_an_address_has_5000_submissions_in_five_minutes(
    limited: Client, settable_clock: SettableClock
) -> None:
    limits = limited.sandbox._limits
    assert limits is not None
    for _ in range(5000):
        limits.admit_address("ingest", "127.0.0.1")
    settable_clock.advance(299)
    still = limited.post("measurements", {}).status_code
    settable_clock.advance(1)

    assert still == 429
    assert limited.post("measurements", {}).status_code == 400
    assert limited.get("products").status_code == 200  # the other API counts for itself


def test_limits_can_be_off() -> None:
    with Sandbox(limits=False, clock=lambda: 1.7e9) as sandbox:
        assert statuses(Client(sandbox).log_in(), 60) == [200] * 60


def test_a_failure_is_used_up(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.fail(500, times=2)

    assert statuses(api, 3) == [500, 500, 200]


def test_a_failure_can_wait_for_a_path(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.fail(500, path="/meters")

    assert (statuses(api, 1), statuses(api, 2, "meters")) == ([200], [500, 200])


def test_a_failed_request_does_no_work(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.fail(503)
    api.post("products", {"name": "P", "code": "p"})

    assert api.get("products").json() == {"data": []}


@pytest.mark.parametrize(
    ("status", "html"), [(502, True), (504, True), (500, False), (429, False), (403, False)]
)
def test_a_gateways_failure_is_html_and_the_apis_is_json(
    api: Client, sandbox: Sandbox, status: int, *, html: bool
) -> None:
    sandbox.faults.fail(status)
    answer = api.get("products")

    assert answer.headers["Content-Type"].startswith("text/html" if html else "application/json")
    assert answer.text.startswith("<html>" if html else '{"message":')


def test_a_failure_can_carry_retry_after(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.fail(429, retry_after=7)

    assert api.get("products").headers["Retry-After"] == "7"


def test_a_fault_is_an_error(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="A fault has a status from 400 to 599, not 200"):
        sandbox.faults.fail(200)


def test_a_dropped_connection_gives_no_answer_and_does_no_work(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.drop()
    with pytest.raises(requests.ConnectionError):
        api.post("products", {"name": "P", "code": "p"})

    assert api.get("products").json() == {"data": []}
    assert [record.status for record in sandbox.log] == [200, 0, 200]


def test_a_cut_answer_ends_before_its_length(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.cut()
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.post("products", {"name": "P", "code": "p"})

    assert len(api.get("products").json()["data"]) == 1  # the work was done


def test_a_delay_holds_the_answer_back(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.delay(30)
    with pytest.raises(requests.ReadTimeout):
        api.session.get(f"{sandbox.url}/organizations/{DEMO_ORG_ID}/products", timeout=0.2)

    assert statuses(api, 1) == [200]


def test_stop_does_not_wait_for_a_delay() -> None:
    sandbox = Sandbox().start()
    api = Client(sandbox).log_in()
    sandbox.faults.delay(60)
    url, ended = sandbox.url, threading.Event()

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            api.session.get(f"{url}/organizations/{DEMO_ORG_ID}/products", timeout=50)
        ended.set()

    threading.Thread(target=ask, daemon=True).start()
    while len(sandbox.faults._waiting):
        threading.Event().wait(0.005)
    server = sandbox._server
    sandbox.stop()

    assert ended.wait(10)
    assert server is not None
    assert not server._open


@pytest.mark.parametrize("kind", ["drop", "cut", "delay", "fail"])
def test_a_fault_for_any_number_of_requests_takes_no_room(api: Client, sandbox: Sandbox, kind: str) -> None:
    value = {"delay": [0], "fail": [503]}.get(kind, [])
    getattr(sandbox.faults, kind)(*value, times=10**30)

    assert repr(sandbox.faults) == f"<Faults: {10**30} waiting>"
    sandbox.faults.clear()
    assert api.get("products").status_code == 200


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e308])
def test_a_delay_that_no_thread_can_wait_is_refused(sandbox: Sandbox, seconds: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 86,400 s"):
        sandbox.faults.delay(seconds)


@pytest.mark.parametrize("times", [0, -1])
def test_a_fault_for_no_request_is_refused(sandbox: Sandbox, times: int) -> None:
    with pytest.raises(ValueError, match="1 request or more"):
        sandbox.faults.drop(times)


def test_clear_takes_waiting_faults_back(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.fail(500, times=5)
    sandbox.faults.drop(times=5)
    sandbox.faults.clear()

    assert statuses(api, 1) == [200]


def test_faults_hold_for_the_token_endpoint(sandbox: Sandbox) -> None:
    sandbox.faults.fail(502, path="/oauth/token")
    api = Client(sandbox)

    assert [api.token().status_code, api.token().status_code] == [502, 200]


def test_an_unknown_key_cannot_be_refused(sandbox: Sandbox) -> None:
    with pytest.raises(LookupError, match="no such access key"):
        sandbox.faults.refuse_key("nobody")


def test_the_log_holds_no_header_no_query_and_no_body(api: Client, sandbox: Sandbox) -> None:
    api.post("products", {"name": "in-the-body", "code": "p"})
    api.get("products", params={"ids": "in-the-query"})
    text = repr(sandbox.log)

    assert DEMO_SECRET not in text
    assert str(api.session.headers["Authorization"]).removeprefix("Bearer ") not in text
    assert "in-the" not in text
    assert [record[0] for record in sandbox.log] == ["POST", "POST", "GET"]


def test_a_request_is_in_the_log_before_its_answer_arrives(api: Client, sandbox: Sandbox) -> None:
    for number in range(50):
        api.get("products")
        assert len(sandbox.log) == number + 2  # with the token request of the fixture


def test_reset_goes_back_to_the_beginning(api: Client, sandbox: Sandbox) -> None:
    api.post("products", {"name": "P", "code": "p"})
    sandbox.keys.deactivate_key(DEMO_KEY_ID)
    sandbox.faults.fail(500)
    sandbox.reset()

    assert sandbox.log == []
    assert api.token().status_code == 200
    assert api.get("products").json() == {"data": []}


def test_the_environment_points_the_official_clients_at_the_sandbox(sandbox: Sandbox) -> None:
    assert sandbox.environ == {
        "M3TER_BASE_URL": sandbox.url,
        "M3TER_API_KEY": DEMO_KEY_ID,
        "M3TER_API_SECRET": DEMO_SECRET,
        "M3TER_ORG_ID": DEMO_ORG_ID,
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", ""])
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Sandbox(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_listening_socket_is_bound_to_loopback(host: str) -> None:
    with Sandbox(host=host) as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox._server is not None
        assert sandbox._server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"port": -1}, "A port is a number"),
        ({"port": 65536}, "A port is a number"),
        ({"token_lifetime": 0}, "at least 1 second"),
        ({"organization_type": "TEST"}, "SANDBOX or PRODUCTION"),
        ({"conflict_status": 200}, "400 or 409"),
        ({"last_page": "none"}, "absent, null or empty"),
        ({"visible_after": -1}, "after 0 to 1,000,000,000 seconds"),
        ({"visible_after": float("nan")}, "after 0 to 1,000,000,000 seconds"),
    ],
)
def test_a_wrong_switch_is_a_clear_error(switch: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(**switch).start()


def test_a_taken_port_is_a_one_line_error() -> None:
    with Sandbox() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match="choose another port") as caught:
            Sandbox(port).start()

    assert str(caught.value) == (
        f"The sandbox cannot listen on 127.0.0.1:{port} (Address already in use): "
        "choose another port, or 0 for any free one"
    )


def test_a_data_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but a text that is long enough to be looked at " * 20)
    with pytest.raises(OSError, match=r"cannot keep its data in .*notes\.txt: file is not a database"):
        Sandbox(data=file).start()


def test_start_and_stop_twice_are_harmless() -> None:
    sandbox = Sandbox()
    url = sandbox.start().url
    assert sandbox.start().url == url
    sandbox.stop()
    sandbox.stop()

    assert not sandbox.is_running
    assert repr(sandbox) == "<Sandbox, stopped>"
    with pytest.raises(RuntimeError, match="call start"):
        _ = sandbox.url


def test_a_stopped_sandbox_answers_nothing_even_on_an_open_connection() -> None:
    sandbox = Sandbox().start()
    api, url = Client(sandbox).log_in(), sandbox.url
    sandbox.stop()

    with pytest.raises(requests.ConnectionError):
        api.session.get(f"{url}/organizations/{DEMO_ORG_ID}/products", timeout=5)


def test_a_port_can_be_used_again_at_once() -> None:
    with Sandbox() as first:
        port = int(first.url.rpartition(":")[2])
        Client(first).log_in()
    with Sandbox(port) as second:
        assert second.url == f"http://127.0.0.1:{port}"
        assert Client(second).token().status_code == 200


def test_two_sandboxes_know_nothing_of_each_other(api: Client) -> None:
    with Sandbox() as other:
        stranger = Client(other)
        stranger.session.headers["Authorization"] = api.session.headers["Authorization"]

        assert stranger.get("products").status_code == 403


def test_the_routes_are_compiled_once_for_all_sandboxes(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Rule] = []
    monkeypatch.setattr(Rule, "compile", compiled.append)

    with Sandbox() as second:
        assert Client(second).log_in().get("products").status_code == 200

    assert compiled == []


def test_every_assumption_is_a_sentence(sandbox: Sandbox) -> None:
    assert len(sandbox.assumptions) == len(set(sandbox.assumptions))
    assert [text for text in sandbox.assumptions if not re.fullmatch(r"\S.*\.", text)] == []


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "m3ter_nb.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_exports_and_ends_cleanly(number: signal.Signals) -> None:
    process = run("--token-lifetime", "60", "--no-limits")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    exported = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines[2:])
    token = requests.post(
        f"{exported['M3TER_BASE_URL']}/oauth/token",
        auth=(exported["M3TER_API_KEY"], exported["M3TER_API_SECRET"]),
        data={"grant_type": "client_credentials"},
        timeout=30,
    )
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert re.fullmatch(r"The m3ter sandbox runs at http://127\.0\.0\.1:\d+ \(Ctrl-C ends it\)\.\n", lines[0])
    assert exported["M3TER_ORG_ID"] == DEMO_ORG_ID
    assert token.json()["expires_in"] == 60
    assert (process.returncode, errors) == (0, "")


@pytest.mark.slow
def test_the_command_hands_its_switches_on() -> None:
    process = run("--visible-after", "-1", "--take-future")
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert errors == "What is accepted shows after 0 to 1,000,000,000 seconds, not -1.0.\n"


@pytest.mark.slow
def test_the_command_says_in_one_line_that_the_port_is_taken(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    process = run("--port", port)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert errors == (
        f"The sandbox cannot listen on 127.0.0.1:{port} (Address already in use): "
        "choose another port, or 0 for any free one\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["flask", "joserfc", "fastjsonschema"])
def test_a_missing_extra_names_the_command_that_installs_it(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None\nimport m3ter_nb.sandbox"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert ran.stderr.splitlines()[-1] == (
        f"ImportError: The sandbox needs {missing}, which is not installed: "
        "run  pip install fastjsonschema flask joserfc"
    )


@forks
@pytest.mark.parametrize("held", [False, True], ids=["at rest", "while it records a request"])
def test_a_forked_child_lets_go_of_the_sandbox_and_the_parent_s_goes_on(*, held: bool) -> None:
    with Sandbox() as sandbox:
        inside, done = threading.Event(), threading.Event()

        def hold() -> None:
            with sandbox._lock:
                inside.set()
                done.wait(10)

        holding = threading.Thread(target=hold if held else inside.set)
        holding.start()
        assert inside.wait(10)
        in_child = in_a_child(lambda: (sandbox.stop(), sandbox.is_running, len(sandbox.log)))
        done.set()
        holding.join()

        assert in_child == "(None, False, 0)"
        assert requests.get(sandbox.url, timeout=10).status_code == 403


@forks
@pytest.mark.parametrize(
    "work",
    [
        lambda sandbox: sandbox.faults.fail(503),
        lambda sandbox: sandbox.faults.clear(),
        lambda sandbox: sandbox.keys.create_key(),
        lambda sandbox: sandbox.keys.expire_tokens(),
        lambda sandbox: sandbox.log,
        lambda sandbox: (sandbox.url, sandbox.environ, repr(sandbox)),
        lambda sandbox: sandbox.reset(),
        lambda sandbox: sandbox.stop(),
        lambda _sandbox: _login_to_another(),
        lambda _sandbox: m3ter_nb.login().get("products"),
    ],
)
def test_nothing_of_the_sandbox_hangs_in_a_forked_child_and_the_parent_s_data_stays(
    sandbox_environ: Sandbox, work: Callable[[Sandbox], object]
) -> None:
    session = m3ter_nb.login()
    session.post("products", {"name": "P", "code": "p"})
    held_locks = list(locks._all)
    assert len(held_locks) >= 5
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as held:
            for lock in held_locks:
                held.enter_context(lock)
            inside.set()
            done.wait(10)

    holding = threading.Thread(target=hold)
    holding.start()
    assert inside.wait(10)
    threading.Timer(0.1, done.set).start()  # the child of a call needs the parent to answer
    in_child = in_a_child(lambda: f"done {work(sandbox_environ)}")
    holding.join()

    assert in_child.startswith("done")
    assert [product["code"] for product in session.pages("products")] == ["p"]


def _login_to_another() -> object:
    with Sandbox() as another:
        credentials = m3ter_nb.Credentials(DEMO_KEY_ID, DEMO_SECRET)
        return m3ter_nb.login(credentials, base_url=another.url).get("products")


@pytest.mark.slow
def test_the_sandbox_imports_nothing_of_its_siblings() -> None:
    script = (
        "import json, sys, m3ter_nb.sandbox.__main__\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('m3ter_nb')]))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    siblings = {name for name in json.loads(ran.stdout) if not name.startswith("m3ter_nb.sandbox")}

    assert siblings == {"m3ter_nb"}


@pytest.mark.parametrize(
    "arguments", [["5ecret-8471"], ["--port", "5ecret-8471"], ["--5ecret-8471"], ["--data"]]
)
def test_the_sandbox_s_command_line_repeats_no_word_that_it_does_not_know(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "8471" not in "".join(capsys.readouterr())
