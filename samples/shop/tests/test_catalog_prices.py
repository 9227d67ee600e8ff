"""Prices have two digits behind the point, and are above zero."""

import sys
import unittest
from decimal import Decimal

from shopkit import ShopTest


class Prices(ShopTest):
    def test_every_price(self):
        page, dearest = 1, Decimal(0)
        while products := self.ok(self.shop.get("/api/products", page=page, size=12))["products"]:
            for product in products:
                with self.subTest(sku=product["sku"]):
                    self.assertRegex(product["price"], r"^\d+\.\d\d$")
                    self.assertGreater(Decimal(product["price"]), 0)
                    dearest = max(dearest, Decimal(product["price"]))
            page += 1
        print(f"note: the dearest product costs {dearest}", file=sys.stderr)
        self.assertEqual(dearest, Decimal("49.00"))


if __name__ == "__main__":
    unittest.main()
