"""Shipping is free from 50.00 on, after the discount."""

import unittest

from shopkit import ShopTest


class Shipping(ShopTest):
    def shipping(self, **cart):
        return self.ok(self.shop.get(self.cart(**cart)))["shipping"]

    def test_below_and_above(self):
        self.assertEqual(self.shipping(COF_06=1), "4.90")  # 49.00
        self.assertEqual(self.shipping(COF_06=1, BAK_05=1), "0.00")  # 50.10

    def test_the_discount_counts(self):
        self.assertEqual(self.shipping(COF_06=1, BAK_05=1, coupon="SAVE10"), "4.90")


if __name__ == "__main__":
    unittest.main()
