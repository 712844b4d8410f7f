"""What the sandbox does although no source says that m3ter does it.

Everything else the sandbox does is documented. Each text is one behaviour that only a live organization can confirm.
"""

from __future__ import annotations

__all__ = ["ASSUMPTIONS"]

ASSUMPTIONS: tuple[str, ...] = (
    "Wrong credentials are answered with 401 and the OAuth error shape; the real status and words are unknown.",
    "Credentials in the body of the token request, without HTTP Basic, are refused as wrong credentials.",
    "A wrong or missing grant_type is answered with 400.",
    "The token request is not counted against any rate limit.",
    "A new token leaves older ones valid, and a key made inactive leaves its tokens valid.",
    "A missing or garbled bearer token is answered with 403, as an expired one is; all message texts are invented.",
    'A token that has ended is told apart by WWW-Authenticate: Bearer error="invalid_token" (RFC 6750, section 3.1).',
    "Without the package cryptography (in a page) tokens are signed with HS256, which the sandbox alone accepts.",
    "The administrator's permission in the token is written *#*#*#*; only the narrow form is documented.",
    "A service user that may only upload measurements gets 403 for everything else, users/me included.",
    "createdBy and lastModifiedBy are the UUID of the service user.",
    "A PUT with a stale or missing version, and a code that is taken, are answered with 409 (a switch makes it 400).",
    "Codes are case-sensitive and unique within their collection.",
    "Fields that the document does not know, and version on a create, are ignored; a null counts as left out.",
    "Credentials of an integration are taken and never shown.",
    "A list without pageSize has 100 entities a page; a pageSize out of range is answered with 400.",
    "The last page has no nextToken; a switch makes it null or empty.",
    "A nextToken that the list did not give is answered with 400.",
    "List filters on fields of the entity, and ranges of their dates, are obeyed; other filters are ignored.",
    "A plain date in a filter means its midnight in UTC; active on a day is from startDate until before endDate.",
    "A list filter that is no date where one is wanted is answered with 400.",
    "The filter date of account plans is ignored, as are filters on the end date of counter adjustments, which have none.",
    "An unknown path below the organization is answered with 404, a wrong method with 405.",
    "Requests refused with 429 are not counted, and no Retry-After is sent.",
    "Measurements are checked before the answer; a switch sets the delay until failures and usage show (0 by default).",
    "A measurement must hold every data field of its meter (MissingField); fields the meter does not have are kept.",
    "An account code is too close to an existing one (InvalidAccountCode) if only case or spaces differ.",
    "A skeleton account has its code as name and no e-mail address.",
    "A timestamp in the future fails the later check as FutureTimestamp, a name of our own (a switch takes it).",
    "A measurement with the character U+0000 in a text is answered with 400.",
    "Derived fields are not calculated.",
    "Numbers beyond 64 bits, and sums of them, are floating-point numbers.",
    "One ingest.validation.failure event stands for all measurements of a submission that failed in one way.",
    "The fields of the event's m3terEvent, and the file behind its download URL, are invented.",
    "An event that nobody has actioned has dtActioned null.",
    "The keys of the rows of a usage query are invented; periods are in UTC, and a week begins on Monday.",
    "Unknown meters and accounts in a usage query match nothing.",
    "Deleting an entity leaves the entities and measurements that mention it.",
    "The usage query is what the Data Explorer rate counts.",
    "One host serves the Config API and the Ingest API.",
    "Documented operations that the sandbox does not play are answered with 501.",
)
