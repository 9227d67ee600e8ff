"""Paging shows every product once, whatever the size of a page."""

import unittest

from shopkit import ShopTest


class CatalogPaging(ShopTest):
    def test_pages_together_are_the_whole(self):
        for size in (8, 20):
            with self.subTest(size=size):
                first = self.ok(self.shop.get("/api/products", page=1, size=size))
                seen = [product["sku"] for product in first["products"]]
                for page in range(2, first["pages"] + 1):
                    seen += [
                        p["sku"]
                        for p in self.ok(self.shop.get("/api/products", page=page, size=size))["products"]
                    ]
                self.assertEqual(len(seen), 35)
                self.assertEqual(len(set(seen)), 35, "a product is on two pages")

    def test_behind_the_last_page_is_nothing(self):
        self.assertEqual(self.ok(self.shop.get("/api/products", page=99))["products"], [])

    def test_a_page_that_is_no_number(self):
        for page in ("0", "-1", "two"):
            self.ok(self.shop.get("/api/products", page=page), 422)


if __name__ == "__main__":
    unittest.main()
