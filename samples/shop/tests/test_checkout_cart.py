"""A cart adds up while things go in and out."""

import unittest

from shopkit import ShopTest


class Cart(ShopTest):
    def test_in_and_out(self):
        cart = self.cart(COF_01=2, TEA_02=1)
        self.assertEqual(self.ok(self.shop.get(cart))["subtotal"], "23.40")
        self.ok(self.shop.put(f"{cart}/items/COF-01", {"quantity": 1}))
        self.assertEqual(self.ok(self.shop.get(cart))["subtotal"], "14.50")
        self.ok(self.shop.delete(f"{cart}/items/TEA-02"))
        self.assertEqual([line["sku"] for line in self.ok(self.shop.get(cart))["lines"]], ["COF-01"])

    def test_an_empty_cart_costs_nothing(self):
        empty = self.ok(self.shop.get(self.cart())).json
        self.assertEqual((empty["total"], empty["shipping"]), ("0.00", "0.00"))

    def test_quantities_have_bounds(self):
        cart = self.cart()
        for quantity in (-1, 100):
            self.ok(self.shop.put(f"{cart}/items/COF-01", {"quantity": quantity}), 422)
        self.ok(self.shop.put(f"{cart}/items/COF-01", {"quantity": "2"}), 422)


if __name__ == "__main__":
    unittest.main()
