"""Who presses "buy" twice pays once."""

import unittest
from concurrent.futures import ThreadPoolExecutor

from shopkit import CARD, ShopTest


class Twice(ShopTest):
    def test_the_same_key_is_the_same_order(self):
        cart = self.cart(COF_05=1)
        browsers = [self.customer(), self.customer()]

        def press(browser):
            return browser.post(f"{cart}/checkout", {"card": CARD}, Idempotency_Key=f"key-{cart}")

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(press, browsers)
        self.assertEqual(self.ok(first, 201)["id"], self.ok(second, 201)["id"])

    def test_a_cart_is_bought_once(self):
        cart = self.cart(COF_05=1)
        self.ok(self.buy(cart), 201)
        self.ok(self.buy(cart), 404)


if __name__ == "__main__":
    unittest.main()
