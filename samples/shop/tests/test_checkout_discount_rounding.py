"""A discount is taken off the whole and rounded once, half a cent up: 7 x 2.49 with 10 % off is 15.69."""

import unittest
from decimal import Decimal

from shopkit import ShopTest


class DiscountRounding(ShopTest):
    def total(self, **cart):
        priced = self.ok(self.shop.get(self.cart(**cart))).json
        print(f"subtotal {priced['subtotal']}, discount {priced['discount']}, total {priced['total']}")
        return Decimal(priced["total"])

    def test_nothing_to_round(self):
        self.assertEqual(self.total(BAK_07=10, coupon="SAVE10"), Decimal("30.10"))

    def test_many_of_a_cheap_product(self):
        total = self.total(TEA_05=7, coupon="SAVE10")
        self.assertEqual(total, Decimal("20.59"), "7 x 2.49 less 10 %, plus 4.90 for shipping")


if __name__ == "__main__":
    unittest.main()
