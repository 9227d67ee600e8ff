"""An order that waits in the shop can be cancelled, once."""

import unittest

from shopkit import ShopTest


class Cancel(ShopTest):
    def test_cancelled_stays_cancelled(self):
        order = self.ok(self.buy(self.cart(BAK_01=2), pickup=True), 201)
        address = f"/api/orders/{order['id']}"
        self.assertEqual(self.ok(self.shop.get(address))["status"], "paid")
        self.assertEqual(self.ok(self.shop.post(f"{address}/cancel"))["status"], "cancelled")
        self.ok(self.shop.post(f"{address}/cancel"), 409)
        self.assertEqual(self.ok(self.shop.get(address))["status"], "cancelled")


if __name__ == "__main__":
    unittest.main()
