"""The steps of m3ter's documented Python example, as a user would have them in a notebook.

Written for this benchmark after https://docs.m3ter.com/api/authentication (the same text stands in the OpenAPI
document): the benchmark puts its own host and credentials where the placeholders are.
"""

import base64

import requests

access_key_id = "your_access_key_id"
api_secret = "your_api_secret"
token_url = "https://api.m3ter.com/oauth/token"

credentials = base64.b64encode(f"{access_key_id}:{api_secret}".encode()).decode("utf-8")

headers = {
    "Authorization": f"Basic {credentials}",
    "Content-Type": "application/x-www-form-urlencoded",
}
payload = {"grant_type": "client_credentials"}

response = requests.post(token_url, headers=headers, data=payload)

if response.ok:
    bearer_token = response.json()["access_token"]
    print(f"Bearer Token: {bearer_token}")
else:
    raise SystemExit(f"Error: {response.status_code} - {response.text}")
