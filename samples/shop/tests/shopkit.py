"""What the shop's tests share: an HTTP client for the build under test, and waiting for a condition.

The build's address is in QGJOB_APP_URL: the slot that runs the test has installed and started it.
"""

import http.client
import json
import os
import sys
import time
import unittest
import uuid
from urllib.parse import quote, urlencode, urlsplit

CARD = "4111 1111 1111 1111"


class Answer:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data

    @property
    def text(self):
        return self.data.decode()

    @property
    def json(self):
        return json.loads(self.data)

    def __getitem__(self, key):
        return self.json[key]


class Shop:
    """A customer's browser: one connection, and the session that was logged in with it."""

    def __init__(self):
        address = os.environ.get("QGJOB_APP_URL")
        if not address:
            sys.exit("QGJOB_APP_URL is not set: which shop is to be tested?")
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        self.token = None

    def call(self, method, path, body=None, headers=None, **query):
        if query:
            path += "?" + urlencode(query)
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        began = time.perf_counter()
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        took = (time.perf_counter() - began) * 1000
        print(f"{method:<6} {path}  ->  {answer.status}  ({took:.0f} ms)", flush=True)
        return answer

    def get(self, path, **query):
        return self.call("GET", path, **query)

    def post(self, path, body=None, **headers):
        return self.call("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})

    def put(self, path, body):
        return self.call("PUT", path, body)

    def delete(self, path):
        return self.call("DELETE", path)

    def close(self):
        self._connection.close()


class ShopTest(unittest.TestCase):
    """A test with a shop, and the steps that many tests begin with."""

    longMessage = True

    def setUp(self):
        self.shop = self.customer()

    def customer(self):
        shop = Shop()
        self.addCleanup(shop.close)
        return shop

    def ok(self, answer, status=200):
        self.assertEqual(answer.status, status, answer.text[:300])
        return answer

    def account(self, password="correct horse 7"):
        email = f"{uuid.uuid4().hex[:12]}@example.org"
        self.ok(self.shop.post("/api/accounts", {"email": email, "password": password}), 201)
        return email, password

    def logged_in(self):
        email, password = self.account()
        session = self.ok(self.shop.post("/api/sessions", {"email": email, "password": password}), 201)
        self.shop.token = session["token"]
        return email

    def cart(self, *, coupon=None, **quantities):
        """A cart with `COF_01=2` of the product COF-01."""
        path = f"/api/carts/{self.ok(self.shop.post('/api/carts'), 201)['id']}"
        for sku, quantity in quantities.items():
            self.ok(self.shop.put(f"{path}/items/{sku.replace('_', '-')}", {"quantity": quantity}))
        if coupon:
            self.ok(self.shop.put(f"{path}/coupon", {"code": coupon}))
        return path

    def buy(self, cart, **more):
        return self.shop.post(f"{cart}/checkout", {"card": CARD, **more})

    def eventually(self, look, wanted, within=10.0):
        """Look again and again until `look()` gives what is wanted."""
        deadline = time.monotonic() + within
        while (seen := look()) != wanted:
            if time.monotonic() > deadline:
                self.fail(f"waited {within:g} s for {wanted!r}, still seeing {seen!r}")
            time.sleep(0.03)


def path_of(sku):
    return f"/api/products/{quote(sku, safe='')}"


main = unittest.main
