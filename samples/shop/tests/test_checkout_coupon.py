"""Coupons take their part off."""

import unittest

from shopkit import ShopTest


class Coupon(ShopTest):
    def test_half_price(self):
        cart = self.ok(self.shop.get(self.cart(COF_08=2, coupon="HALF"))).json
        self.assertEqual((cart["subtotal"], cart["discount"]), ("64.00", "32.00"))
        self.assertEqual((cart["shipping"], cart["total"]), ("4.90", "36.90"))

    def test_the_last_coupon_counts(self):
        cart = self.cart(GAR_03=1, coupon="HALF")
        self.ok(self.shop.put(f"{cart}/coupon", {"code": "SAVE10"}))
        self.assertEqual(self.ok(self.shop.get(cart))["discount"], "2.10")

    def test_an_invented_coupon(self):
        cart = self.cart(GAR_03=1)
        self.assertIn("FREE100", self.ok(self.shop.put(f"{cart}/coupon", {"code": "FREE100"}), 422)["error"])
        self.assertIsNone(self.ok(self.shop.get(cart))["coupon"])


if __name__ == "__main__":
    unittest.main()
