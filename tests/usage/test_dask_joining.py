"""Workers that join or leave while rows are being sent, a cluster on TLS, and what a cluster's rows are compared with."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from m3ter_nb.errors import SubmissionIncomplete, UnsafeDestination
from m3ter_nb.usage import dask_cluster, dask_worker
from m3ter_nb.usage.channel import Channel
from usage_frames import FAST, usage

dd = pytest.importorskip("dask.dataframe", reason="needs the extra 'dask'")
distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from m3ter_nb.errors import M3terError
    from usage_frames import Used

pytestmark = pytest.mark.slow
PLAIN: dict[str, Any] = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
#: One request in ten seconds: another worker has joined before all are sent.
SLOW: tuple[float, int] = (0.1, 300_000)
#: Run by a worker before it joins, twice: notes whether what it is handed holds a token.
PRELOAD = """
from m3ter_nb.usage import dask_worker
made = vars(dask_worker).setdefault("made", dask_worker.TokenPlugin.__init__)
def noting(self, token, *given):
    with open({path!r}, "a") as file:
        file.write("token\\n" if token else "none\\n")
    made(self, token, *given)
dask_worker.TokenPlugin.__init__ = noting
"""


@pytest.fixture(autouse=True)
def _journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def when(used: Used, requests: int, then: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something once, in the middle of a run, which waits for it."""
    tend, done = dask_cluster._Run._tend, list[bool]()

    def tending(self: Any) -> None:
        if used.requests() >= requests and not done:
            done.append(True)
            then(self)
        tend(self)

    monkeypatch.setattr(dask_cluster._Run, "_tend", tending)


def senders(client: Any) -> set[str]:
    """Return the workers that have sent requests."""

    def paces() -> int:
        return len(dask_worker._paces)

    return {worker for worker, number in client.run(paces).items() if number}


def add_worker(local: Any, client: Any, run: Any) -> None:
    """Let a second worker join, wait until it is there, and send at full speed from then on."""
    local.scale(2)
    client.wait_for_workers(2, timeout=60)
    run._options = replace(run._options, rate=FAST)


def test_a_worker_that_joins_in_the_middle_takes_part(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = usage(12_000)
    with distributed.LocalCluster(n_workers=1, **PLAIN) as local, distributed.Client(local) as client:
        first = set(client.nthreads())
        when(used, 1, partial(add_worker, local, client), monkeypatch)
        sent = used.submit(dd.from_pandas(frame, npartitions=12), uid="event_id", rate=SLOW)

        assert first < senders(client)
        assert len(senders(client)) == 2
    assert (sent.confirmed, sent.accepted) == (True, 12_000)
    assert used.counted() == (12_000, frame["requests"].sum())


def test_a_worker_that_joins_over_a_plain_line_ends_the_run_and_never_has_a_token(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second address of loopback stands for one that others can listen to."""
    frame, noted, joined = usage(20_000), tmp_path / "noted", list[subprocess.Popen[bytes]]()
    members: set[str] = set()
    monkeypatch.setattr(dask_cluster, "is_loopback", lambda host: host == "127.0.0.1")
    (tmp_path / "preload.py").write_text(PRELOAD.format(path=str(noted)))
    with distributed.LocalCluster(n_workers=1, **PLAIN) as local, distributed.Client(local) as client:
        line = f"-m dask worker {local.scheduler_address} --host 127.0.0.2 --no-dashboard --no-nanny"

        def join(_: Any) -> None:
            joined.append(
                subprocess.Popen([sys.executable, *line.split(), "--preload", tmp_path / "preload.py"])
            )
            client.wait_for_workers(2, timeout=60)
            members.update(client.nthreads())

        when(used, 1, join, monkeypatch)
        try:
            with pytest.raises(SubmissionIncomplete, match=r"127\.0\.0\.2.* neither tls://") as caught:
                used.submit(dd.from_pandas(frame, npartitions=20), uid="event_id", rate=SLOW)
        finally:
            for process in joined:
                process.terminate()
                process.wait(20)

    done = caught.value.submission
    assert isinstance(caught.value.__cause__, UnsafeDestination)
    assert any(worker.startswith("tcp://127.0.0.2:") for worker in members)
    assert set(noted.read_text().split()) == {"none"}
    assert used.asked("COUNT") == done.accepted < 20_000
    assert used.submit(frame, uid="event_id").confirmed
    assert used.counted() == (20_000, frame["requests"].sum())


def certificates(folder: Path) -> Any:
    """Return a ``Security`` with a certificate that signs itself, for both ends."""
    pytest.importorskip("cryptography", reason="needs the extra 'test'")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    pair = {
        f"tls_{end}_{what}": str(folder / f"{what}.pem")
        for end in ("client", "scheduler", "worker")
        for what in ("cert", "key")
    }
    return distributed.Security(tls_ca_file=str(folder / "cert.pem"), require_encryption=True, **pair)


def test_a_cluster_on_tls_sends_every_row_with_a_worker_that_joins_later(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, security = usage(12_000), certificates(tmp_path)
    # So that it is the line alone that makes it safe.
    monkeypatch.setattr(dask_cluster, "is_loopback", lambda _: False)
    with (
        distributed.LocalCluster(n_workers=1, protocol="tls", security=security, **PLAIN) as local,
        distributed.Client(local) as client,
    ):
        when(used, 1, partial(add_worker, local, client), monkeypatch)
        sent = used.submit(dd.from_pandas(frame, npartitions=12), key="event_id", rate=SLOW)

        assert all(address.startswith("tls://") for address in client.nthreads())
        assert len(senders(client)) == 2
    assert (sent.confirmed, sent.accepted) == (True, 12_000)
    assert used.counted() == (12_000, frame["requests"].sum())


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_a_run_whose_tasks_are_cancelled_or_whose_cluster_is_closed_goes_on_later(
    used: Used, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    frame = usage(12_000)
    with distributed.LocalCluster(n_workers=2, **PLAIN) as local, distributed.Client(local) as client:

        def end(_: Any) -> None:
            if how == "closed":
                local.close()
            else:
                client.cancel([distributed.Future(key, client) for key in client.futures])

        when(used, 2, end, monkeypatch)
        with pytest.raises(SubmissionIncomplete, match=r"accepted [\d,]+ of 12,000 rows"):
            used.submit(dd.from_pandas(frame, npartitions=12), uid="event_id", rate=(4, 300_000))
    time.sleep(0.5)  # what was under way at a worker that is gone

    assert used.asked("COUNT") < 12_000
    assert used.submit(frame, uid="event_id").confirmed
    assert used.counted() == (12_000, frame["requests"].sum())


def test_what_others_add_hides_none_of_a_clusters_rows_that_are_missing(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, send, lost = usage(2000), Channel.send, [1]
    frame = frame.assign(ts=frame["ts"].iloc[0] + pd.to_timedelta(np.arange(2000) * 100, unit="s"))

    def losing(self: Channel, body: bytes, turn: Callable[[], None]) -> M3terError | None:
        if lost:
            lost.pop()
            used.post_of_others(1000)
            return None
        return send(self, body, turn)

    monkeypatch.setattr(Channel, "send", losing)
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, threads_per_worker=1, dashboard_address=None
        ) as local,
        distributed.Client(local),
    ):
        sent = used.submit(dd.from_pandas(frame, npartitions=4), uid="event_id", confirm=0.5)

        assert not sent.confirmed
        assert re.search(
            r"By account and day [4-9]\d\d of these rows are missing: \d+ of acct-\d on 2026-01-0[12]",
            repr(sent),
        )
        monkeypatch.undo()
        assert used.submit(dd.from_pandas(frame, npartitions=4), uid="event_id", journal=None).confirmed
    assert used.asked("COUNT") == 3000


def test_an_index_with_a_name_is_a_column_of_a_dask_frame_too(used: Used) -> None:
    frame = usage(300)
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local),
    ):
        sent = used.submit(dd.from_pandas(frame.set_index("ts"), npartitions=3), uid="event_id")

    assert (sent.confirmed, used.counted()) == (True, (300, frame["requests"].sum()))
