"""Logins and calls, ours beside the alternatives, in one warm process: ``python calls.py NAME ROUNDS``."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
from contextlib import redirect_stdout
from typing import Any
from urllib.parse import urlsplit

import m3ter
import requests
import urllib3
from alternating import alternate, main
from shells import fresh_shell

import m3ter_nb

URL = os.environ["M3TER_BASE_URL"]
BASE = f"{URL}/organizations/{os.environ['M3TER_ORG_ID']}"
PRODUCT_ID = "00000000-0000-4000-8000-000000004711"
PRODUCTS = 10_000
LARGEST_PAGE = 200


def documented_login() -> str:
    """Make the documented request."""
    pair = f"{os.environ['M3TER_API_KEY']}:{os.environ['M3TER_API_SECRET']}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(pair.encode("utf-8")).decode("utf-8"),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    response = requests.post(f"{URL}/oauth/token", headers=headers, data={"grant_type": "client_credentials"})
    response.raise_for_status()
    return str(response.json()["access_token"])


def our_login() -> None:
    """Log in from the environment, and leave nothing open."""
    m3ter_nb.login().close()


def log_in(rounds: int) -> dict[str, list[float]]:
    """Measure a login: the plain function, the magic, the documented request."""
    shell = fresh_shell()
    shell.run_line_magic("load_ext", "m3ter_nb")

    def magic() -> None:
        with redirect_stdout(io.StringIO()):
            shell.run_line_magic("m3ter_login", "")

    return alternate(
        {"function": our_login, "magic": magic, "documented": documented_login}, rounds, times=10
    )


def get(rounds: int) -> dict[str, list[float]]:
    """Measure reading one product as decoded JSON."""
    session = m3ter_nb.login()
    raw = requests.Session()
    headers = {"Authorization": f"Bearer {documented_login()}"}
    sdk, cured = m3ter.M3ter(), session.sdk()
    plain = http.client.HTTPConnection(urlsplit(URL).netloc)
    bare = urllib3.HTTPConnectionPool(urlsplit(URL).hostname or "", urlsplit(URL).port)
    path = f"products/{PRODUCT_ID}"
    target = urlsplit(f"{BASE}/{path}").path

    def by_requests() -> Any:
        response = raw.get(f"{BASE}/{path}", headers=headers)
        response.raise_for_status()
        return response.json()

    def by_urllib3() -> Any:
        return json.loads(bare.urlopen("GET", target, headers=headers, retries=False).data)

    def by_http_client() -> Any:
        plain.request("GET", target, headers=headers)
        return json.loads(plain.getresponse().read())

    assert (
        session.get(path)
        == by_requests()
        == by_urllib3()
        == by_http_client()
        == sdk.products.retrieve(PRODUCT_ID).to_dict()
    )
    ways = {
        "ours": lambda: session.get(path),
        "requests": by_requests,
        "sdk": lambda: sdk.products.retrieve(PRODUCT_ID),
        "our sdk": lambda: cured.products.retrieve(PRODUCT_ID),
        "urllib3": by_urllib3,
        "http.client": by_http_client,
    }
    return alternate(ways, rounds, times=50)


def whole_list(rounds: int) -> dict[str, list[float]]:
    """Measure reading 10,000 products, in pages of the largest allowed size."""
    shell = fresh_shell()
    shell.run_line_magic("load_ext", "m3ter_nb")
    with redirect_stdout(io.StringIO()):
        shell.run_line_magic("m3ter_login", "")
    raw = requests.Session()
    headers = {"Authorization": f"Bearer {documented_login()}"}
    sdk = m3ter.M3ter()

    def by_magic() -> None:
        counted(shell.run_line_magic("m3ter", "GET products --all"))

    def by_requests() -> None:
        params: dict[str, Any] = {"pageSize": LARGEST_PAGE}
        products: list[Any] = []
        while True:
            response = raw.get(f"{BASE}/products", headers=headers, params=params)
            response.raise_for_status()
            page = response.json()
            products.extend(page["data"])
            if not page.get("nextToken"):
                break
            params["nextToken"] = page["nextToken"]
        counted(products)

    def by_sdk() -> None:
        counted(list(sdk.products.list(page_size=LARGEST_PAGE)))

    return alternate(
        {"ours": by_magic, "requests": by_requests, "sdk": by_sdk},
        rounds,
        times={"ours": 3, "requests": 3, "sdk": 1},
    )


def counted(products: list[Any]) -> None:
    """Make sure that nobody is fast by leaving something out."""
    if len(products) != PRODUCTS:
        raise AssertionError(f"{len(products)} products instead of {PRODUCTS}")


if __name__ == "__main__":
    main({"log_in": log_in, "get": get, "whole_list": whole_list})
