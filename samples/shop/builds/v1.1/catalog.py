"""Products: finding them, paging through them, and what customers say of them."""

import json
import threading
import unicodedata
from decimal import Decimal

from errors import ShopError

MAX_PAGE = 50
ORDERS = {"name": lambda product: plain(product["name"]), "price": lambda product: Decimal(product["price"])}


def plain(text):
    """Lower case, without accents: how people type when they search."""
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in split if not unicodedata.combining(char))


class Catalog:
    def __init__(self, products):
        self.products = products
        self._by_sku = {product["sku"]: product for product in products}
        # Made once: a search looks at every name.
        self._names = [(plain(product["name"]), product) for product in products]
        self._reviews = {}
        self._stock = {product["sku"]: product["stock"] for product in products}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file))

    def search(self, words, category=None, sort=None):
        if sort is not None and sort not in ORDERS:
            raise ShopError(422, f"products can be sorted by {' or '.join(ORDERS)}")
        wanted = plain(words).split()
        found = [
            product
            for name, product in self._names
            if (category is None or product["category"] == category) and all(word in name for word in wanted)
        ]
        return sorted(found, key=ORDERS[sort]) if sort else found

    def page(self, products, page, size):
        if not (page.isdecimal() and size.isdecimal()) or int(page) < 1:
            raise ShopError(422, "page and size are whole numbers from 1")
        number, count = int(page), min(max(int(size), 1), MAX_PAGE)
        start = (number - 1) * count
        shown = products[start : start + count]
        return {
            "total": len(products),
            "page": number,
            "pages": -(-len(products) // count),
            "products": [self.product(product["sku"]) for product in shown],
        }

    def categories(self):
        counts = {}
        for product in self.products:
            counts[product["category"]] = counts.get(product["category"], 0) + 1
        return [{"name": name, "products": counts[name]} for name in sorted(counts)]

    def product(self, sku):
        product = self._by_sku.get(sku)
        if product is None:
            raise ShopError(404, f"no product {sku}")
        return {**product, "stock": self._stock[sku]}

    def take(self, quantities):
        """Take all of these from the stock, or none."""
        with self._lock:
            for sku, quantity in quantities.items():
                if self._stock[sku] < quantity:
                    raise ShopError(409, f"only {self._stock[sku]} of {sku} are left")
            for sku, quantity in quantities.items():
                self._stock[sku] -= quantity

    def put_back(self, quantities):
        with self._lock:
            for sku, quantity in quantities.items():
                self._stock[sku] += quantity

    def review(self, sku, email, stars, text):
        self.product(sku)
        if not 1 <= stars <= 5:
            raise ShopError(422, "stars are from 1 to 5")
        if not text.strip() or len(text) > 500:
            raise ShopError(422, "a review has 1 to 500 characters")
        with self._lock:
            reviews = self._reviews.setdefault(sku, {})
            if email in reviews:
                raise ShopError(409, "you have reviewed this product")
            reviews[email] = {"by": email.partition("@")[0], "stars": stars, "text": text}
        return reviews[email]

    def reviews(self, sku):
        self.product(sku)
        reviews = list(self._reviews.get(sku, {}).values())
        mean = sum(review["stars"] for review in reviews) / len(reviews) if reviews else None
        return {"mean": mean, "reviews": reviews}
