"""Nobody can buy what is not there, and a refused purchase takes nothing."""

import unittest

from shopkit import ShopTest, path_of

FEW = "GAR-05"


class Stock(ShopTest):
    def left(self):
        return self.ok(self.shop.get(path_of(FEW)))["stock"]

    def test_the_last_ones(self):
        left = self.left()
        self.assertGreater(left, 0)
        self.ok(self.buy(self.cart(GAR_05=left + 1)), 409)
        order = self.ok(self.buy(self.cart(GAR_05=left), pickup=True), 201)
        self.assertEqual(self.left(), 0)
        self.ok(self.buy(self.cart(GAR_05=1)), 409)
        self.ok(self.shop.post(f"/api/orders/{order['id']}/cancel"))
        self.assertEqual(self.left(), left)

    def test_all_or_nothing(self):
        before = self.ok(self.shop.get(path_of("GAR-04")))["stock"]
        self.ok(self.buy(self.cart(GAR_04=1, GAR_05=99)), 409)
        self.assertEqual(self.ok(self.shop.get(path_of("GAR-04")))["stock"], before)


if __name__ == "__main__":
    unittest.main()
