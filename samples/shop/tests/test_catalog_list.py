"""The list of products: complete, and each with what a page needs."""

import unittest

from shopkit import ShopTest, path_of


class CatalogList(ShopTest):
    def test_all_products_are_listed(self):
        listed = self.ok(self.shop.get("/api/products", size=50))
        self.assertEqual(listed["total"], 35)
        self.assertEqual(len({product["sku"] for product in listed["products"]}), 35)

    def test_a_product_in_the_list_is_the_product_by_itself(self):
        for product in self.ok(self.shop.get("/api/products", size=6))["products"]:
            with self.subTest(sku=product["sku"]):
                alone = self.ok(self.shop.get(path_of(product["sku"]))).json
                alone.pop("stock"), product.pop("stock")  # others are buying meanwhile
                self.assertEqual(alone, product)


if __name__ == "__main__":
    unittest.main()
