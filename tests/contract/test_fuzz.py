"""Whatever is sent, the sandbox answers as the document says, and never with a failure of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bodies import example
from m3ter_nb.sandbox.surface import load

if TYPE_CHECKING:
    from answers import CheckedClient

TABLE = load()
SHAPES: dict[str, Any] = {
    path: entry.body.schema
    for path, entry in TABLE.collections.items()
    if entry.body is not None and "create" in entry.operations and "{" not in path
}
SHAPES["measurements"] = TABLE.bodies["SubmitMeasurementsRequest"].schema
SHAPES["usage/query"] = TABLE.bodies["UsageQueryRequest"].schema

telling = st.sampled_from(
    ["2024-01-31T12:00:00Z", "9999-12-31T23:59:59Z", "TIME", "DAY", "SUM", "MEASURE", "code1"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    telling,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
)
relaxed = settings(
    max_examples=settings.default.max_examples * 5 // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """Return ``value`` with parts of it left out, repeated or replaced by anything."""
    if draw(st.integers(0, 5)) == 0:
        return draw(values)
    if isinstance(value, dict):
        return {key: spoilt(draw, item) for key, item in value.items() if draw(st.integers(0, 9))}
    if isinstance(value, list):
        return [spoilt(draw, item) for item in value] * draw(st.integers(0, 3))
    return value


@st.composite
def submissions(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a path and a body that is almost what it takes."""
    path = draw(st.sampled_from(sorted(SHAPES)))
    return path, spoilt(draw, example(dict(SHAPES[path])))


@pytest.mark.slow
@relaxed
@given(submission=submissions())
def test_a_spoilt_body_is_taken_or_refused(checked_api: CheckedClient, submission: tuple[str, Any]) -> None:
    path, body = submission

    assert checked_api.post(path, body).status_code in (200, 400, 409)


@relaxed
@given(
    path=st.sampled_from([*sorted(TABLE.collections), *sorted(TABLE.views)]),
    query=st.dictionaries(
        st.sampled_from(
            [
                "pageSize",
                "nextToken",
                "ids",
                "codes",
                "searchQuery",
                "sortBy",
                "fromDocument",
                "productId",
                "eventType",
            ]
        ),
        st.one_of(st.text(max_size=10), st.integers().map(str)),
        max_size=3,
    ),
)
def test_a_strange_query_is_answered_or_refused(
    checked_api: CheckedClient, path: str, query: dict[str, str]
) -> None:
    # The names in braces go out as they are: identifiers that do not exist.
    answer = checked_api.get(path.replace("{", "").replace("}", ""), params=query)

    assert answer.status_code in (200, 400, 404)
