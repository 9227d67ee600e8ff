"""Categories divide the catalogue without rest."""

import unittest

from shopkit import ShopTest


class CatalogCategories(ShopTest):
    def test_categories_add_up(self):
        categories = self.ok(self.shop.get("/api/categories")).json
        self.assertEqual([c["name"] for c in categories], ["bakery", "coffee", "garden", "household", "tea"])
        total = 0
        for category in categories:
            found = self.ok(self.shop.get("/api/products", category=category["name"]))
            self.assertEqual(found["total"], category["products"], category["name"])
            total += found["total"]
        self.assertEqual(total, 35)

    def test_search_within_a_category(self):
        found = self.ok(self.shop.get("/api/products", q="glass", category="tea"))
        self.assertEqual([product["name"] for product in found["products"]], ["Glass Teapot"])


if __name__ == "__main__":
    unittest.main()
