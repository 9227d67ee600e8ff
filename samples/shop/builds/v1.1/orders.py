"""Carts and orders: what is bought, paid for, sent, and cancelled."""

import secrets
import threading
import time
from decimal import Decimal

from errors import ShopError
from pricing import percent_of, price

MAX_QUANTITY = 99
PAYMENT_S = 0.08  # the bank's answer takes its time
PACKED_AFTER_S = 0.12
SHIPPED_AFTER_S = 0.25
CARDS = {"4111111111111111": None, "4000000000000002": "declined", "4000000000009995": "not enough money"}


class Cart:
    def __init__(self, catalog):
        self.id = "c_" + secrets.token_hex(6)
        self.quantities = {}
        self.coupon = None
        self._catalog = catalog

    def lines(self):
        products = ((self._catalog.product(sku), count) for sku, count in self.quantities.items())
        return [
            {"sku": p["sku"], "name": p["name"], "price": Decimal(p["price"]), "quantity": count}
            for p, count in products
        ]


class Orders:
    def __init__(self, catalog):
        self._catalog = catalog
        self._carts = {}
        self._orders = {}
        self._by_key = {}
        self._lock = threading.Lock()

    def new_cart(self):
        cart = Cart(self._catalog)
        self._carts[cart.id] = cart
        return cart

    def cart(self, cart_id):
        if cart_id not in self._carts:
            raise ShopError(404, "no such cart")
        return self._carts[cart_id]

    def put(self, cart_id, sku, quantity):
        cart = self.cart(cart_id)
        self._catalog.product(sku)
        if not 0 <= quantity <= MAX_QUANTITY:
            raise ShopError(422, f"a quantity is from 0 to {MAX_QUANTITY}")
        if quantity:
            cart.quantities[sku] = quantity
        else:
            cart.quantities.pop(sku, None)
        return cart

    def use_coupon(self, cart_id, code):
        cart = self.cart(cart_id)
        percent_of(code)
        cart.coupon = code
        return cart

    def checkout(self, cart_id, card, key=None, pickup=False):
        with self._lock:
            if key is not None and key in self._by_key:
                return self.order(self._by_key[key])
            cart = self.cart(cart_id)
            if not cart.quantities:
                raise ShopError(409, "the cart is empty")
            quantities = dict(cart.quantities)
            self._catalog.take(quantities)
            try:
                self._pay(card)
            except ShopError:
                self._catalog.put_back(quantities)
                raise
            order = {
                "id": "o_" + secrets.token_hex(6),
                "at": time.monotonic(),
                "quantities": quantities,
                "coupon": cart.coupon,
                "price": price(cart.lines(), cart.coupon),
                "pickup": pickup,
                "cancelled": False,
            }
            self._orders[order["id"]] = order
            del self._carts[cart_id]
            if key is not None:
                self._by_key[key] = order["id"]
        return self.order(order["id"])

    def order(self, order_id):
        order = self._orders.get(order_id)
        if order is None:
            raise ShopError(404, "no such order")
        return {"id": order["id"], "status": _status(order), "coupon": order["coupon"], **order["price"]}

    def cancel(self, order_id):
        self.order(order_id)
        order = self._orders[order_id]
        with self._lock:
            if _status(order) != "paid":
                raise ShopError(409, f"an order that is {_status(order)} cannot be cancelled")
            order["cancelled"] = True
        self._catalog.put_back(order["quantities"])
        return self.order(order_id)

    def _pay(self, card):
        time.sleep(PAYMENT_S)
        problem = CARDS.get(card.replace(" ", ""), "no such card")
        if problem:
            raise ShopError(402, f"the card was refused: {problem}")


def _status(order):
    if order["cancelled"]:
        return "cancelled"
    if order["pickup"]:  # waits in the shop until it is fetched
        return "paid"
    age = time.monotonic() - order["at"]
    return "shipped" if age >= SHIPPED_AFTER_S else "packed" if age >= PACKED_AFTER_S else "paid"


def receipt(order):
    """The receipt as it is printed."""
    rows = [f"{line['quantity']:>3} x {line['name']:<28}{line['sum']:>9}" for line in order["lines"]]
    rows.append(f"{'Subtotal':<34}{order['subtotal']:>9}")
    if order["coupon"]:
        rows.append(f"{'Coupon ' + order['coupon']:<34}{'-' + order['discount']:>9}")
    rows.append(f"{'Shipping':<34}{order['shipping']:>9}")
    rows.append(f"{'Total':<34}{order['total']:>9}")
    return "\n".join(["CORNER SHOP", *rows, ""])
