"""Search: all words have to be there, in any order, in any case."""

import unittest

from shopkit import ShopTest


class CatalogSearch(ShopTest):
    def names(self, words):
        return {product["name"] for product in self.ok(self.shop.get("/api/products", q=words))["products"]}

    def test_one_word(self):
        self.assertEqual(
            self.names("tea"),
            {
                "Green Tea Sencha",
                "Earl Grey Tea",
                "Rooibos Tea",
                "Jasmine Tea",
                "Mint Tea Bags",
                "Glass Teapot",
                "Tea Strainer",
            },
        )

    def test_two_words_in_any_order(self):
        self.assertEqual(self.names("beans espresso"), {"Espresso Beans 250 g"})

    def test_case_does_not_matter(self):
        self.assertEqual(self.names("EARL grey"), {"Earl Grey Tea"})

    def test_nothing_found_is_an_empty_list(self):
        self.assertEqual(self.names("submarine"), set())


if __name__ == "__main__":
    unittest.main()
