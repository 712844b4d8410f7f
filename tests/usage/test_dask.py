"""A Dask frame is sent by the workers of a real cluster, and each row counts once: judged by the sandbox."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import m3ter_nb
from m3ter_nb.errors import InvalidArgument, SubmissionIncomplete, UnsafeDestination, UsageInvalid
from m3ter_nb.sandbox import Sandbox
from m3ter_nb.usage import dask_cluster, dask_worker
from usage_frames import usage, used_of

cloudpickle = pytest.importorskip("cloudpickle", reason="needs the extra 'dask'")
dd = pytest.importorskip("dask.dataframe", reason="needs the extra 'dask'")
distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from m3ter_nb import Credentials
    from usage_frames import Used


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return a client of a cluster of two processes."""
    with (
        distributed.LocalCluster(
            processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def plugins_of(client: Any) -> list[str]:
    """Return what is registered on the scheduler and the workers for usage."""

    def on_scheduler(dask_scheduler: Any) -> list[str]:
        return [*dask_scheduler.worker_plugins, *dask_scheduler.plugins]

    def on_worker(dask_worker: Any) -> list[str]:
        return list(dask_worker.plugins)

    names = client.run_on_scheduler(on_scheduler)
    for found in client.run(on_worker).values():
        names += found
    return [name for name in names if name.startswith("m3ter-usage")]


@pytest.mark.slow
def test_every_row_counts_once_and_the_same_line_again_sends_nothing(used: Used, cluster: Any) -> None:
    frame = usage(5000)
    parts = dd.from_pandas(frame, npartitions=5)

    sent = used.submit(parts, key=["event_id"])

    assert used.counted() == (5000, frame["requests"].sum())
    assert (sent.rows, sent.accepted, sent.ingested, sent.confirmed, sent.already) == (
        5000,
        5000,
        5000,
        True,
        0,
    )
    assert plugins_of(cluster) == []
    before = used.requests()
    again = used.submit(dd.from_pandas(frame, npartitions=3), key=["event_id"])
    assert (again.already, again.accepted, again.confirmed, used.requests() - before) == (5000, 0, True, 0)


@pytest.mark.slow
def test_a_run_leaves_no_error_in_the_log_of_the_cluster(
    used: Used, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    monkeypatch.setattr(handler, "emit", lambda record: said.append(record.getMessage()))
    logger = logging.getLogger("distributed.core")
    logger.addHandler(handler)
    try:
        used.submit(dd.from_pandas(usage(100), npartitions=2), uid="event_id")
    finally:
        logger.removeHandler(handler)

    assert said == []


@pytest.mark.slow
def test_identical_rows_of_two_partitions_count_each_by_their_key(used: Used, cluster: Any) -> None:
    frame = usage(300)
    twins = frame.head(100).assign(event_id=[f"twin-{number}" for number in range(100)])
    parts = dd.concat([dd.from_pandas(frame, npartitions=1), dd.from_pandas(twins, npartitions=1)])

    used.submit(parts, key="event_id")

    assert used.counted() == (400, frame["requests"].sum() + twins["requests"].sum())


@pytest.mark.slow
def test_without_uid_and_key_nothing_is_sent_and_it_says_why(used: Used, cluster: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"identical rows in two partitions one would be lost"):
        used.submit(dd.from_pandas(usage(100), npartitions=2))

    assert used.requests() == 0


@pytest.mark.slow
def test_equal_keys_with_other_content_in_two_partitions_are_a_problem(used: Used, cluster: Any) -> None:
    frame = usage(200)
    frame.loc[150, "event_id"] = frame.loc[3, "event_id"]
    frame.loc[199] = frame.loc[0]

    with pytest.raises(UsageInvalid) as caught:
        used.submit(dd.from_pandas(frame, npartitions=2), key=["event_id"])

    assert [found.kind for found in caught.value.report.found_problems] == ["DifferentUnderKey"]
    assert used.requests() == 0

    sent = used.submit(
        dd.from_pandas(frame, npartitions=2), key=["event_id"], invalid="skip", raise_on_refused=False
    )
    assert sent.refused["row"].tolist() == [150]
    assert used.counted() == (198, frame["requests"].drop([150, 199]).sum())


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_and_doubles_nothing(used: Used, cluster: Any) -> None:
    frame = usage(12_000)
    pids = list(cluster.run(os.getpid).values())

    def kill() -> None:
        while used.requests() < 4:
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    sent = used.submit(dd.from_pandas(frame, npartitions=6), key=["event_id"], rate=(20, 300_000))
    killer.join()

    assert pids[0] not in cluster.run(os.getpid).values()
    assert used.counted() == (12_000, frame["requests"].sum())
    assert (sent.confirmed, sent.ingested, sent.doubtful, len(sent.refused)) == (True, 12_000, 0, 0)
    assert plugins_of(cluster) == []


@pytest.mark.slow
def test_a_token_that_ends_in_the_middle_is_renewed_on_the_workers(
    credentials: Credentials, cluster: Any
) -> None:
    frame = usage(10_000)
    with (
        Sandbox(limits=False, token_lifetime=2) as sandbox,
        m3ter_nb.login(credentials, base_url=sandbox.url) as session,
    ):
        used = used_of(session, sandbox)
        sent = used.submit(dd.from_pandas(frame, npartitions=4), uid="event_id", rate=(2.5, 300_000))

        assert used.counted() == (10_000, frame["requests"].sum())
        assert (sent.confirmed, sent.accepted) == (True, 10_000)
        assert sum(record.path.endswith("/oauth/token") for record in sandbox.log) > 1


@pytest.mark.slow
def test_an_interrupted_run_stops_the_workers_and_goes_on_later(
    used: Used, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = usage(8000)
    tend = dask_cluster._Run._tend

    def interrupted(self: Any) -> None:
        if used.requests() >= 2:
            raise KeyboardInterrupt
        tend(self)

    monkeypatch.setattr(dask_cluster._Run, "_tend", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"m3ter has accepted"):
        used.submit(dd.from_pandas(frame, npartitions=4), key=["event_id"], rate=(4, 300_000))
    assert plugins_of(cluster) == []
    after = used.requests()
    time.sleep(1)
    assert used.requests() == after < 8

    monkeypatch.setattr(dask_cluster._Run, "_tend", tend)
    used.submit(dd.from_pandas(frame, npartitions=4), key=["event_id"])
    assert used.counted() == (8000, frame["requests"].sum())


@pytest.mark.slow
def test_a_refusal_that_is_no_age_of_the_token_ends_the_run(used: Used, cluster: Any) -> None:
    used.sandbox.faults.fail(403, 1000, "/measurements")

    with pytest.raises(SubmissionIncomplete) as caught:
        used.submit(dd.from_pandas(usage(2000), npartitions=2), key=["event_id"])

    assert caught.value.submission.accepted == 0
    assert plugins_of(cluster) == []


@pytest.mark.slow
def test_the_token_is_in_no_task_no_dump_and_no_log(used: Used, cluster: Any, tmp_path: Path) -> None:
    token = used.session.token.reveal()
    control = "control-" + token[:20][::-1]

    def remember(text: str) -> None:
        import logging

        logging.getLogger("distributed.worker").warning("%s", text)

    held = cluster.submit(remember, control)
    held.result()
    dumps: list[str] = []
    take = dask_cluster._Run._take

    def dumping(self: Any, *given: Any) -> None:
        if self.begun and not dumps:

            def specs(dask_scheduler: Any) -> str:
                return repr([cloudpickle.dumps(task.run_spec) for task in dask_scheduler.tasks.values()])

            cluster.dump_cluster_state(str(tmp_path / "dump"), format="yaml")
            dumps.append((tmp_path / "dump.yaml").read_text())
            dumps.append(cluster.run_on_scheduler(specs))
            dumps.append(repr(cluster.get_worker_logs()) + repr(cluster.get_scheduler_logs()))
        take(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_cluster._Run, "_take", dumping)
        used.submit(dd.from_pandas(usage(6000), npartitions=6), key=["event_id"], rate=(10, 300_000))

    assert len(dumps) == 3
    assert "send_partition" in dumps[1]
    assert control in dumps[1]
    assert control in dumps[2]
    for text in dumps:
        assert token not in text
    for path in (tmp_path / ".m3ter").iterdir():
        assert token.encode() not in path.read_bytes()


def test_session_token_and_sandbox_do_not_travel(used: Used) -> None:
    for each in (used.session, used.session.token, used.sandbox):
        with pytest.raises((InvalidArgument, TypeError)):
            pickle.dumps(each)


def test_a_plugin_shows_nothing() -> None:
    plugin = dask_worker.TokenPlugin("marked-token", 60, (45, 4950), {"127.0.0.1": 4})

    assert "marked-token" not in f"{plugin!r}{plugin}{vars(plugin)}"
    assert pickle.loads(pickle.dumps(plugin)).token().reveal() == "marked-token"


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("tls://10.0.0.1:8786", True),
        ("inproc://192.168.0.1/1/1", True),
        ("tcp://127.0.0.1:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://10.0.0.1:8786", False),
        ("ws://127.0.0.1:1", False),
        ("tcp://127.0.0.1.example.com:1", False),
    ],
)
def test_a_token_travels_over_lines_that_nobody_hears(address: str, *, safe: bool) -> None:
    assert dask_cluster.is_safe(address) is safe


def test_a_worker_that_joins_over_a_plain_line_is_handed_no_token() -> None:
    class Scheduler:
        def __init__(self) -> None:
            token = dask_worker.TokenPlugin("marked-token", 60, (45, 4950), {})
            self.worker_plugins = {"run": pickle.dumps(token)}
            self.events: list[Any] = []

        def log_event(self, topic: str, event: Any) -> None:
            assert topic == "run"
            self.events.append(event)

    scheduler = Scheduler()
    gate = dask_cluster.Gate("run")

    gate.add_worker(scheduler, "tcp://127.0.0.1:1")
    assert b"marked-token" in scheduler.worker_plugins["run"]
    gate.add_worker(scheduler, "tcp://10.0.0.1:1")
    assert b"marked-token" not in scheduler.worker_plugins["run"]
    assert scheduler.events == [{"unsafe": "tcp://10.0.0.1:1"}]


@pytest.mark.slow
def test_a_plain_cluster_is_refused_before_anything_is_sent(
    used: Used, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "is_loopback", lambda _: False)

    with pytest.raises(UnsafeDestination, match="No token was handed out"):
        used.submit(dd.from_pandas(usage(100), npartitions=2), key=["event_id"])

    assert (used.requests(), plugins_of(cluster)) == (0, [])


@pytest.mark.slow
def test_every_worker_is_looked_at_where_the_client_tells_of_a_few(
    used: Used, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = cluster.scheduler_info()
    monkeypatch.setattr(distributed.Client, "scheduler_info", lambda _: {**told, "workers": {}})
    workers = list(cluster.nthreads())
    checked: list[str] = []
    monkeypatch.setattr(dask_cluster, "_check_lines", checked.extend)

    used.submit(dd.from_pandas(usage(100), npartitions=2), key=["event_id"])

    assert len(workers) == 2
    assert set(workers) <= set(checked)
    assert used.asked("COUNT") == 100


@pytest.mark.slow
def test_workers_of_another_version_are_one_error(
    used: Used, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "__version__", "9.9")

    with pytest.raises(InvalidArgument, match=r"need m3ter_nb 9\.9, as here: .* \(and [12] more\)"):
        used.submit(dd.from_pandas(usage(100), npartitions=2), key=["event_id"])

    assert used.requests() == 0


def test_the_rate_is_shared_out_by_workers_and_hosts() -> None:
    class Worker:
        address = "tls://10.0.0.1:1"

        class state:  # noqa: N801
            nthreads = 2

    plugin = dask_worker.TokenPlugin("t", 60, (45, 4950), {"10.0.0.1": 6, "10.0.0.2": 12})

    assert plugin.share(Worker()) == (5.0, 1650)


def test_without_a_client_it_says_how_to_start_one(used: Used) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def none() -> None:
            raise ValueError

        patch.setattr(dask_cluster, "get_client", none)
        with pytest.raises(InvalidArgument, match="Start one"):
            used.submit(dd.from_pandas(usage(10), npartitions=1), key=["event_id"])


@pytest.mark.slow
def test_partitions_with_an_index_of_their_own_name_rows_by_position(used: Used, cluster: Any) -> None:
    frame = usage(60)
    frame.loc[45, "region"] = None
    parts = dd.concat(
        [dd.from_pandas(part.reset_index(drop=True), npartitions=1) for part in (frame[:30], frame[30:])]
    )

    sent = used.submit(parts, key=["event_id"], invalid="skip")

    assert sent.refused[["row", "event_id"]].to_numpy().tolist() == [[45, "e1-45"]]
    assert used.counted() == (59, frame["requests"].drop(45).sum())
