"""A session with the m3ter API: one organization, one token source, calls that return decoded JSON."""

from __future__ import annotations

import posixpath
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Never, Self, Unpack
from urllib.parse import urlsplit

from m3ter_nb.api.addresses import agree_on_org_id, measures, merge_queries, url_of
from m3ter_nb.api.operations import METHODS, safe_to_repeat
from m3ter_nb.api.pages import Items, Pages
from m3ter_nb.auth.signed_call import send_signed
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.errors import (
    Forbidden,
    InvalidArgument,
    UnexpectedAnswer,
)
from m3ter_nb.hiding import without_frames
from m3ter_nb.spelling import with_literal_repr
from m3ter_nb.wire.encoding import decode_body, encode_body, query_of, settle_query
from m3ter_nb.wording import either

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import requests
    from m3ter import AsyncM3ter, M3ter

    from m3ter_nb.auth.token import Token
    from m3ter_nb.bridges.requests_auth import TokenAuth
    from m3ter_nb.usage.channel import Channel
    from m3ter_nb.usage.options import CheckOptions, SubmitOptions
    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.submission import Submission
    from m3ter_nb.wire.answer import Answer
    from m3ter_nb.wire.transport import Transport

__all__ = ["M3terSession"]

_ABILITIES = """\
  .get("products", pageSize=10)            one answer; filters by name
  .pages("products")                       every item of a list, page by page
  .post("products", {...})                 create, or ask
  .update("products/ID", {"name": "New"})  change fields, keep the others
  .put("products/ID", {...})               replace the whole
  .delete("products/ID")                   delete, and return it as it was
  .whoami(), .sdk(), .requests()           who this is; the login in other tools' hands
%m3ter_docs finds what the API takes."""
_REMEMBERED_VERSIONS = 20_000
_JSON = {"Content-Type": "application/json"}


@with_literal_repr
class M3terSession:
    """Calls to one organization of m3ter, with a token that is kept fresh.

    Safe to share between threads. A context manager; ``close`` forgets the token.

    Args:
        source: gives the token.
        transport: to the API.
        org_id: the organization's id; None to take it from the token.
        credentials_source: where the credentials came from, as a phrase that fits after "from".

    Raises:
        OrganizationMismatch: the token is for another organization.
    """

    def __init__(
        self,
        source: TokenSource,
        transport: Transport,
        *,
        org_id: str | None = None,
        credentials_source: str = "arguments",
    ) -> None:
        self._source = source
        self._transport = transport
        token = source.current
        self._org_id: str | None = None  # for the repr, where the next line raises
        self._org_id = agree_on_org_id(token.org_id if token is not None else None, org_id)
        self.credentials_source = credentials_source
        self._versions: dict[str, int] = {}
        self._is_followed = False

    @property
    def token(self) -> Token:
        """A fresh token.

        Raises:
            NotLoggedIn, TokenExpired, LoginRefused, ConnectionFailed: as :meth:`TokenSource.token`.
        """
        return self._source.token()

    @property
    def source(self) -> TokenSource:
        """Where the token comes from."""
        return self._source

    @property
    def auth(self) -> TokenAuth:
        """For plain requests, where :meth:`requests` will not do: see what it cannot promise in its own words."""
        from m3ter_nb.bridges.requests_auth import TokenAuth

        return TokenAuth(self._source, self._transport.origins)

    @property
    def base_url(self) -> str:
        """The Config API's base URL, without a trailing slash."""
        return self._transport.base_url

    @property
    def host(self) -> str:
        """The Config API's host, with the port where it is not the scheme's own."""
        return self._transport.host

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine."""
        return self._transport.is_loopback

    @property
    def org_id(self) -> str:
        """The organization's id.

        Raises:
            InvalidArgument: the token does not say, and none was given.
        """
        if self._org_id is None:
            raise InvalidArgument(
                "The token does not say which organization it is for. Log in with "
                f"{either('org_id=', '--org-id ID')}, or set M3TER_ORG_ID "
                "(Console: Settings > Organization Details).",
            )
        return self._org_id

    def __repr__(self) -> str:
        return f"M3terSession({self.base_url!r}, org_id={self._org_id!r})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Show itself in a notebook with what it can do (IPython's protocol)."""
        return {"text/plain": f"{self!r}\n{_ABILITIES}"}

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument(
            "A m3ter session is not pickled or copied: it holds the token, and what renews it. Log in where it is needed."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def take_over(self, older: M3terSession) -> bool:
        """Let a session of an earlier login go on with this one, and all that was made from it (lists, clients).

        Returns:
            Whether it does: it is open, and of the same key, host and organization.
        """
        same = (self._source.identity, self.base_url, self._org_id) == (
            older._source.identity,
            older.base_url,
            older._org_id,
        )
        if not same or self._source.identity is None or older._source.current is None:
            return False
        older._source.adopt(self._source)
        self._source = older._source
        older._is_followed = True
        return True

    def close(self) -> None:
        """Forget the token and the credentials, and close the connections; a later login that took over goes on."""
        if self._is_followed:
            self._source = TokenSource(self._source.current)
        self._source.forget("This session is closed. Log in again (%m3ter_login, or m3ter_nb.login()).")
        self._transport.close()

    @without_frames
    def get(self, path: str, params: Any = None, **filters: Any) -> Any:
        """Read: ``session.get("accounts", codes="acme")``; see :meth:`request`.

        Args:
            path: see :meth:`url`.
            params: the query.
            filters: more of the query, by name.
        """
        return self._request("GET", path, merge_queries(params, filters))

    @without_frames
    def post(self, path: str, json: Any = None, *, params: Any = None) -> Any:
        """Create, or ask: ``session.post("products", {"name": "Storage", "code": "storage"})``; see :meth:`request`."""
        return self._request("POST", path, params, json)

    @without_frames
    def put(self, path: str, json: Any = None, *, params: Any = None) -> Any:
        """Replace an entity whole: ``session.put(f"products/{product['id']}", product)``; see :meth:`request`.

        What the body leaves out is lost, but for ``version``: a missing one is that of the last read. To change a few
        fields, :meth:`update`.
        """
        return self._request("PUT", path, params, json)

    @without_frames
    def delete(self, path: str, *, params: Any = None) -> Any:
        """Delete an entity, and return it as it was: ``session.delete(f"products/{id}")``; see :meth:`request`."""
        return self._request("DELETE", path, params)

    @without_frames
    def update(self, path: str, changes: Mapping[str, Any], *, remove: Iterable[str] = ()) -> Any:
        """Change a few fields and keep the others: ``session.update(f"products/{id}", {"name": "Storage"})``.

        It reads the entity, changes it, and puts it back whole with its version, numbers digit for digit; where nothing
        differs, nothing is sent. It neither asks nor prints.

        Args:
            path: of one entity.
            changes: dotted keys (``address.country``, ``dataFields.0.unit``) with their values. A dict is merged into
                the object that is there (RFC 7396), but None is a value like any other.
            remove: dotted keys that go.

        Returns:
            dict: the entity as it is stored now.

        Raises:
            VersionConflict: somebody else changed it in between; ``changes`` holds what. Nothing was overwritten.
            InvalidArgument: m3ter alone sets the field, or a PUT would lose what GET does not give. Nothing was sent.
            ApiError, ConnectionFailed: as :meth:`request`.
        """
        from m3ter_nb.api.update import read_edit

        return read_edit(self, path, changes, remove).carry_out(self)

    @without_frames
    def url(self, path: str, method: str = "GET") -> str:
        """Return the URL that a call goes to.

        Args:
            path: under ``/organizations/{orgId}/`` without a leading slash, from the host's root with one; an
                absolute URL only to the API's own hosts.
            method: upper case; measurements are posted to the ingest host.

        Raises:
            InvalidArgument: the path is empty or climbs (``..``), or the organization is not known.
        """
        to_ingest = method == "POST" and measures(path)
        host = self._transport.ingest_url if to_ingest else self._transport.base_url
        return url_of(host, path, lambda: self.org_id)

    def add_version(self, method: str, path: str, json: Any) -> Any:
        """Return the body that a call sends: that of a PUT gets the version of the last read, where it names none.

        Args:
            method: upper case.
            path: see :meth:`url`.
            json: the body; it is not changed.
        """
        entity_id = posixpath.basename(path.partition("?")[0].rstrip("/"))
        if (
            method == "PUT"
            and isinstance(json, dict)
            and json.get("version") is None
            and entity_id in self._versions
        ):
            return {**json, "version": self._versions[entity_id]}
        return json

    @without_frames
    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Make one call and return the decoded JSON.

        A call that is safe to repeat is repeated after 429, 502, 503, 504 and a broken connection. After 401 or 403
        for which the token may be to blame, one new token and one more try.

        Args:
            method: GET, POST, PUT or DELETE.
            path: see :meth:`url`.
            params: the query: a dict, pairs, or text as it is; lists are joined by commas, as the official SDKs do.
            json: the body; None for no body.

        Returns:
            dict | list | None: the decoded answer; None where it is empty.

        Raises:
            ApiError: and its kinds; m3ter refused.
            ConnectionFailed: and its kinds; nothing came, or something broken.
            InvalidArgument: the call is malformed; nothing was sent.
        """
        return self._request(method, path, params, json)

    def _request(self, method: str, path: Any, params: Any = None, json: Any = None) -> Any:
        method = str(method).upper()
        if method not in METHODS:
            raise InvalidArgument(f"The methods of the m3ter API are {', '.join(METHODS)}.")
        params = settle_query(params)
        if params or json is not None or (isinstance(path, str) and "?" in path):
            from m3ter_nb.api.doubts import tell_doubts

            tell_doubts(method, path, params, json)
        return self.decode(self.exchange(method, path, params, json))

    @without_frames
    def exchange(
        self, method: str, path: str, params: Any = None, json: Any = None, *, body: bytes | None = None
    ) -> Answer:
        """Make one call as :meth:`request` does, and return the answer as it came.

        Args:
            method: upper case.
            path: see :meth:`url`.
            params: see :meth:`request`.
            json: see :meth:`request`.
            body: ``json``, encoded already.
        """
        url = self.url(path, method)
        if body is None and json is not None:
            json = self.add_version(method, path, json)
            body = encode_body(json)
        answer, token = send_signed(
            self._source,
            self._transport,
            method,
            url,
            query=query_of(params),
            body=body,
            headers=_JSON if body is not None else None,
            repeatable=safe_to_repeat(method, url, json),
        )
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            from m3ter_nb.api.refusals import explain

            raise explain(answer, org_id=self._org_id, token=token)
        return answer

    @without_frames
    def pages(self, path: str, params: Any = None, **filters: Any) -> Iterator[Any]:
        """Iterate over a list, page by page: ``for product in session.pages("products"): ...``.

        Newest first (https://docs.m3ter.com/api/pagination). Where a page could not be read, the same iterator goes on with
        that page.

        Args:
            path: of the list, e.g. ``"products"``.
            params: the query, as :meth:`request` takes it.
            filters: more of it; ``pageSize`` defaults to the largest that the list takes.

        Raises:
            InvalidArgument: the path is not that of a list.
            UnexpectedAnswer: a page leads back to one that was read.
            ApiError, ConnectionFailed: as :meth:`request`.
        """
        return Items(Pages(self, path, params, filters))

    @without_frames
    def whoami(self) -> dict[str, Any]:
        """Return the service user and the organization (``GET users/me``).

        Keys, each optional: ``serviceUser``, ``user``, ``organization``. Empty where the permission is missing.

        Source: https://docs.m3ter.com/api/user/retrieve-current-user-information
        """
        try:
            me = self._request("GET", "users/me")
        except Forbidden:
            return {}
        return me if isinstance(me, dict) else {}

    def check_usage(self, source: Any, meter: str, **options: Unpack[CheckOptions]) -> UsageReport:
        """Say what is wrong with rows of usage, what is new about them, and what sending them takes; nothing is sent.

        Args:
            source: a DataFrame of pandas, polars or Arrow, a path or glob of CSV or Parquet files, or dicts.
            meter: the meter's code; its fields are read from m3ter.
            options: those of :meth:`submit_usage` that say how the source is read.

        Raises:
            InvalidArgument: no such meter, column or file.
            MissingExtra: what reads the source is not installed.
            ApiError, ConnectionFailed: as :meth:`request`.
        """
        from m3ter_nb.usage.options import Options
        from m3ter_nb.usage.submit import check_usage

        return check_usage(self, self.usage_channel(), source, meter, Options(**options))

    def submit_usage(self, source: Any, meter: str, **options: Unpack[SubmitOptions]) -> Submission:
        """Send rows of usage as measurements, each counted once however often it is sent, and confirm that it was.

        Args:
            source: as for :meth:`check_usage`.
            meter: the meter's code.
            options:
                account, ts, ets: the columns of the account code, the time and the end time
                ("account", "ts", none).
                columns: ``{"field code": "column"}`` where the names differ.
                uid: the column of the source's own ids, the best way to tell a row from its repetition.
                key: the columns that together name a row. With neither, two rows are the same if all that is sent is,
                and identical rows of one source count each.
                new_accounts: "refuse" account codes that m3ter does not know, or let m3ter "create" them.
                invalid: "refuse" to send anything if there are bad rows, or "skip" those.
                timezone: of times without one ("UTC").
                journal: a file; by default in ``.m3ter`` beside the source's files or in the working directory; None
                for none.
                confirm: seconds to wait for m3ter's own count (60); 0 not to ask.
                threads, rate: requests under way at once (16); requests a second and in five minutes ((45, 4950)).
                patience: seconds for which a failing request is repeated (330).
                raise_on_refused: whether rows that m3ter refuses after accepting them are an error (True).

        Raises:
            UsageInvalid: rows cannot be sent; nothing was. It holds the report.
            SubmissionIncomplete: not all was sent; again, it goes on where it stopped. It holds the Submission.
            MeasurementsRefused: m3ter has refused rows. It holds the Submission.
            Interrupted: Ctrl-C.
            InvalidArgument, MissingExtra, ApiError, ConnectionFailed: before anything was sent.

        Source: https://docs.m3ter.com/guides/billing-and-usage-data/submitting-usage-data
        """
        from m3ter_nb.usage.options import Options
        from m3ter_nb.usage.submit import submit_usage

        return submit_usage(self, self.usage_channel(), source, meter, Options(**options))

    def usage_channel(self) -> Channel:
        """Return what sends measurements on this login."""
        from m3ter_nb.api.refusals import explain
        from m3ter_nb.usage.channel import Channel

        url = self.url("measurements", "POST")
        return Channel(self._source, self._transport, url, partial(explain, org_id=self._org_id))

    @without_frames
    def requests(self) -> requests.Session:
        """Return a ``requests.Session`` on this login: ``session.requests().get(session.url("products"))``.

        It goes to this API's own hosts only, and the token is in none of its headers, requests, responses and errors.
        """
        from m3ter_nb.bridges.requests_session import LoginSession

        return LoginSession(self._source, self._transport)

    @without_frames
    def sdk(self, **options: Any) -> M3ter:
        """Return the official SDK's client, on this session's token source: one token request for any number of calls.

        Args:
            options: further arguments of ``m3ter.M3ter``.

        Raises:
            MissingExtra: the SDK is not installed.
        """
        from m3ter_nb.bridges.sdk import sdk_client

        return sdk_client(self._source, self._transport, self.org_id, **options)

    @without_frames
    def async_sdk(self, **options: Any) -> AsyncM3ter:
        """Return the official SDK's async client, on this session's token source.

        Args:
            options: further arguments of ``m3ter.AsyncM3ter``.

        Raises:
            MissingExtra: the SDK is not installed.
        """
        from m3ter_nb.bridges.sdk import async_sdk_client

        return async_sdk_client(self._source, self._transport, self.org_id, **options)

    @without_frames
    def decode(self, answer: Answer) -> Any:
        """Return the JSON of an answer; None where it is empty.

        Raises:
            UnexpectedAnswer: it is no JSON.
        """
        content = answer.content
        if not content.strip():
            return None
        decoded, is_json = decode_body(content)
        if not is_json:
            is_page = content.lstrip()[:1] == b"<"
            what = "a web page" if is_page else "text that is not whole JSON"
            between = " A network that wants a login, or a proxy, can also stand between." if is_page else ""
            raise UnexpectedAnswer(
                f"{self.host} answered {answer.method} {urlsplit(answer.url).path} with {what}. Check the path and the base "
                f"URL.{between}",
            )
        self._remember(decoded)
        return decoded

    def _remember(self, decoded: Any) -> None:
        """Keep the version of an entity that was read or written by itself, for a PUT that does not name one.

        Not those of a list: who lists has not looked at each entity, and would overwrite what others have changed.
        """
        if isinstance(decoded, dict) and "version" in decoded and isinstance(decoded.get("id"), str):
            if len(self._versions) >= _REMEMBERED_VERSIONS:
                self._versions.clear()
            self._versions[decoded["id"]] = decoded["version"]
