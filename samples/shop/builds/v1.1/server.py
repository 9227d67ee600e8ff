"""The shop's HTTP server: routes to the parts of the shop, JSON in and out."""

import hashlib
import json
import os
import re
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from accounts import Accounts
from catalog import Catalog
from errors import ShopError
from orders import Orders, receipt
from pricing import price

VERSION = "1.1"
MAX_BODY = 64 * 1024
DATABASE_S = 0.012  # a round trip to the database that this shop would have


class Shop:
    def __init__(self):
        self.catalog = Catalog.load("catalog.json")
        self.accounts = Accounts()
        self.orders = Orders(self.catalog)


class Request:
    def __init__(self, query, body, headers):
        self.query, self.body, self.headers = query, body, headers

    def param(self, name, default=None):
        return self.query.get(name, [default])[0]

    def field(self, name, kind=str):
        value = self.body.get(name) if isinstance(self.body, dict) else None
        if type(value) is not kind:
            raise ShopError(422, f"{name} must be given as {kind.__name__}")
        return value

    @property
    def token(self):
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token if scheme == "Bearer" else None


def front_page(shop, request):
    items = "".join(f"<li>{p['name']}</li>" for p in shop.catalog.products[:5])
    return 200, f"<!doctype html><title>Corner Shop</title><h1>Corner Shop</h1><ul>{items}</ul>"


def health(shop, request):
    return 200, {"status": "ok"}


def version(shop, request):
    return 200, {"version": VERSION}


def list_products(shop, request):
    found = shop.catalog.search(request.param("q", ""), request.param("category"), request.param("sort"))
    return 200, shop.catalog.page(found, request.param("page", "1"), request.param("size", "10"))


def get_product(shop, request, sku):
    return 200, shop.catalog.product(sku)


def categories(shop, request):
    return 200, shop.catalog.categories()


def list_reviews(shop, request, sku):
    return 200, shop.catalog.reviews(sku)


def add_review(shop, request, sku):
    email = shop.accounts.user_of(request.token)
    return 201, shop.catalog.review(sku, email, request.field("stars", int), request.field("text"))


def register(shop, request):
    return 201, shop.accounts.register(request.field("email"), request.field("password"))


def login(shop, request):
    ttl = request.body.get("ttl_s", 3600) if isinstance(request.body, dict) else 3600
    return 201, shop.accounts.login(request.field("email"), request.field("password"), float(ttl))


def logout(shop, request):
    shop.accounts.logout(request.token)
    return 204, None


def me(shop, request):
    return 200, {"email": shop.accounts.user_of(request.token)}


def new_cart(shop, request):
    return 201, show(shop.orders.new_cart())


def get_cart(shop, request, cart_id):
    return 200, show(shop.orders.cart(cart_id))


def put_item(shop, request, cart_id, sku):
    return 200, show(shop.orders.put(cart_id, sku, request.field("quantity", int)))


def remove_item(shop, request, cart_id, sku):
    return 200, show(shop.orders.put(cart_id, sku, 0))


def put_coupon(shop, request, cart_id):
    return 200, show(shop.orders.use_coupon(cart_id, request.field("code")))


def checkout(shop, request, cart_id):
    key = request.headers.get("Idempotency-Key")
    pickup = request.body.get("pickup") is True if isinstance(request.body, dict) else False
    return 201, shop.orders.checkout(cart_id, request.field("card"), key, pickup)


def get_order(shop, request, order_id):
    return 200, shop.orders.order(order_id)


def cancel_order(shop, request, order_id):
    return 200, shop.orders.cancel(order_id)


def get_receipt(shop, request, order_id):
    return 200, receipt(shop.orders.order(order_id))


def show(cart):
    return {"id": cart.id, "coupon": cart.coupon, **price(cart.lines(), cart.coupon)}


ROUTES = [
    ("GET", r"/", front_page),
    ("GET", r"/healthz", health),
    ("GET", r"/api/version", version),
    ("GET", r"/api/products", list_products),
    ("GET", r"/api/categories", categories),
    ("GET", r"/api/products/([^/]+)", get_product),
    ("GET", r"/api/products/([^/]+)/reviews", list_reviews),
    ("POST", r"/api/products/([^/]+)/reviews", add_review),
    ("POST", r"/api/accounts", register),
    ("POST", r"/api/sessions", login),
    ("DELETE", r"/api/sessions", logout),
    ("GET", r"/api/me", me),
    ("POST", r"/api/carts", new_cart),
    ("GET", r"/api/carts/([^/]+)", get_cart),
    ("PUT", r"/api/carts/([^/]+)/items/([^/]+)", put_item),
    ("DELETE", r"/api/carts/([^/]+)/items/([^/]+)", remove_item),
    ("PUT", r"/api/carts/([^/]+)/coupon", put_coupon),
    ("POST", r"/api/carts/([^/]+)/checkout", checkout),
    ("GET", r"/api/orders/([^/]+)", get_order),
    ("POST", r"/api/orders/([^/]+)/cancel", cancel_order),
    ("GET", r"/api/orders/([^/]+)/receipt", get_receipt),
]


def find_route(method, path):
    allowed = []
    for verb, pattern, handler in ROUTES:
        match = re.fullmatch(pattern, path)
        if match and verb == method:
            return handler, [unquote(part) for part in match.groups()]
        if match:
            allowed.append(verb)
    if allowed:
        raise ShopError(405, f"only {', '.join(allowed)} here", {"Allow": ", ".join(allowed)})
    raise ShopError(404, "there is nothing here")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "CornerShop/" + VERSION
    disable_nagle_algorithm = True

    def do_GET(self):
        try:
            status, answer = self.answer()
            headers = {}
        except ShopError as error:
            status, answer, headers = error.status, {"error": error.message}, error.headers
        except Exception as error:  # a fault of ours: say so, and go on serving
            print(f"{self.command} {self.path}: {error!r}", file=sys.stderr, flush=True)
            status, answer, headers = 500, {"error": "the shop is out of order"}, {}
        self.send(status, answer, headers)

    do_POST = do_PUT = do_DELETE = do_GET

    def answer(self):
        body = self.read_body()
        url = urlsplit(self.path)
        handler, parts = find_route(self.command, url.path)
        if handler is not health:
            time.sleep(DATABASE_S)
        return handler(self.server.shop, Request(parse_qs(url.query), body, self.headers), *parts)

    def read_body(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            raise ShopError(413, f"at most {MAX_BODY} bytes are taken")
        if not length:
            return None
        try:
            return json.loads(self.rfile.read(length))
        except ValueError:
            raise ShopError(400, "the body is no JSON") from None

    def send(self, status, answer, headers):
        text = isinstance(answer, str)
        data = b"" if answer is None else (answer if text else json.dumps(answer)).encode()
        if self.command == "GET" and status == 200:
            tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
            headers = {**headers, "ETag": tag}
            if self.headers.get("If-None-Match") == tag:
                status, data = 304, b""
        kind = (
            "text/html" if text and answer.startswith("<!") else "text/plain" if text else "application/json"
        )
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code="-", size="-"):
        if self.path != "/healthz":
            print(f"{self.command} {self.path} {int(code)}", flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.shop = Shop()

    def server_bind(self):
        # http.server would ask the resolver for our name, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]


if __name__ == "__main__":
    server = Server(int(os.environ.get("PORT", "8080")))
    print(f"Corner Shop {VERSION} on port {server.server_port}", flush=True)
    server.serve_forever()
