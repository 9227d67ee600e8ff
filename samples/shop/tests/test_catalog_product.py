"""A product's page."""

import unittest

from shopkit import ShopTest, path_of


class CatalogProduct(ShopTest):
    def test_a_product(self):
        product = self.ok(self.shop.get(path_of("TEA-06"))).json
        self.assertEqual(
            (product["name"], product["price"], product["category"]), ("Glass Teapot", "27.50", "tea")
        )
        self.assertGreater(product["stock"], 0)

    def test_hostile_skus_find_nothing(self):
        for sku in ("TEA-99", "../../etc/passwd", "' OR 1=1 --", "TEA-06\u0000", "☕"):
            with self.subTest(sku=sku):
                self.ok(self.shop.get(path_of(sku)), 404)

    def test_selling_changes_the_stock(self):
        before = self.ok(self.shop.get(path_of("COF-06")))["stock"]
        self.ok(self.buy(self.cart(COF_06=2)), 201)
        self.assertEqual(self.ok(self.shop.get(path_of("COF-06")))["stock"], before - 2)


if __name__ == "__main__":
    unittest.main()
