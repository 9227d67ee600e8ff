"""Search finds what is spelt with accents, typed with or without them."""

import unittest

from shopkit import ShopTest


class CatalogSearchAccents(ShopTest):
    def test_with_and_without_accents(self):
        for typed in ("crème brûlée", "creme brulee", "CRÈME brulee"):
            with self.subTest(typed=typed):
                found = self.ok(self.shop.get("/api/products", q=typed))["products"]
                self.assertEqual([product["name"] for product in found], ["Crème Brûlée Tart"])

    def test_the_name_keeps_its_accents(self):
        found = self.ok(self.shop.get("/api/products", q="cafe"))["products"]
        self.assertIn("Café Crème Pods", [product["name"] for product in found])


if __name__ == "__main__":
    unittest.main()
