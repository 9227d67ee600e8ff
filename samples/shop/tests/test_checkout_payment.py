"""A card that is refused costs nothing, and the cart is still there."""

import unittest

from shopkit import CARD, ShopTest


class Payment(ShopTest):
    def test_refused_and_tried_again(self):
        cart = self.cart(TEA_01=1)
        for card, why in (("4000000000000002", "declined"), ("4000000000009995", "not enough money")):
            refused = self.ok(self.shop.post(f"{cart}/checkout", {"card": card}), 402)
            self.assertIn(why, refused["error"])
        paid = self.ok(self.shop.post(f"{cart}/checkout", {"card": CARD}), 201)
        self.assertEqual(paid["total"], "12.70")

    def test_an_empty_cart_cannot_be_paid(self):
        self.ok(self.buy(self.cart()), 409)


if __name__ == "__main__":
    unittest.main()
