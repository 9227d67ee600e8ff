"""The shop stands, and is the build that was asked for."""

import os
import unittest

from shopkit import ShopTest


class Smoke(ShopTest):
    def test_front_page(self):
        page = self.ok(self.shop.get("/"))
        self.assertIn("<h1>Corner Shop</h1>", page.text)
        self.assertIn("text/html", page.headers["Content-Type"])

    def test_it_is_the_build_under_test(self):
        wanted = os.environ["QGJOB_APP_VERSION_ID"].removeprefix("v")
        self.assertEqual(self.ok(self.shop.get("/api/version"))["version"], wanted)

    def test_a_customer_can_buy(self):
        order = self.ok(self.buy(self.cart(COF_01=1)), 201)
        self.assertEqual(order["total"], "13.80")


if __name__ == "__main__":
    unittest.main()
