"""An order is packed, then shipped; then it cannot be called back."""

import unittest

from shopkit import ShopTest


class Delivery(ShopTest):
    def test_until_it_is_shipped(self):
        order = self.ok(self.buy(self.cart(HOU_01=1)), 201)
        address = f"/api/orders/{order['id']}"
        steps = []

        def status():
            steps.append(self.ok(self.shop.get(address))["status"])
            return steps[-1]

        self.eventually(status, "shipped")
        way = ["paid", "packed", "shipped"]
        self.assertEqual(steps, sorted(steps, key=way.index), "an order went backwards")
        self.assertIn("shipped", self.ok(self.shop.post(f"{address}/cancel"), 409)["error"])


if __name__ == "__main__":
    unittest.main()
