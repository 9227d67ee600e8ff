"""Reviews: by customers alone, one each, and they add up to the mean."""

import unittest

from shopkit import ShopTest, path_of

REVIEWED = path_of("HOU-07") + "/reviews"


class Reviews(ShopTest):
    def test_strangers_may_not(self):
        self.ok(self.shop.post(REVIEWED, {"stars": 5, "text": "Nice"}), 401)

    def test_one_review_each(self):
        email = self.logged_in()
        self.ok(self.shop.post(REVIEWED, {"stars": 4, "text": "A good board."}), 201)
        self.ok(self.shop.post(REVIEWED, {"stars": 1, "text": "Changed my mind."}), 409)
        shown = self.ok(self.shop.get(REVIEWED)).json
        ours = [review for review in shown["reviews"] if review["by"] == email.partition("@")[0]]
        self.assertEqual([review["stars"] for review in ours], [4])
        stars = [review["stars"] for review in shown["reviews"]]
        self.assertAlmostEqual(shown["mean"], sum(stars) / len(stars))

    def test_stars_and_text_are_checked(self):
        self.logged_in()
        for stars, text in ((0, "x"), (6, "x"), (3, " "), (3, "x" * 501)):
            self.ok(self.shop.post(REVIEWED, {"stars": stars, "text": text}), 422)


if __name__ == "__main__":
    unittest.main()
