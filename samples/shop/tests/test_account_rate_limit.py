"""A robot that logs in again and again is slowed down, and told for how long."""

import unittest
from concurrent.futures import ThreadPoolExecutor

from shopkit import ShopTest


class RateLimit(ShopTest):
    def test_many_logins_at_once(self):
        email, password = self.account()
        robots = [self.customer() for _ in range(10)]
        login = {"email": email, "password": password}
        limited = []
        for _ in range(5):  # a machine under load may need more than one rush
            with ThreadPoolExecutor(len(robots)) as pool:
                answers = list(pool.map(lambda robot: robot.post("/api/sessions", login), robots))
            limited = [answer for answer in answers if answer.status == 429]
            if limited:
                break
        self.assertTrue(limited, "nobody was slowed down")
        self.assertEqual(limited[0].headers["Retry-After"], "1")
        self.eventually(lambda: self.shop.post("/api/sessions", login).status, 201)


if __name__ == "__main__":
    unittest.main()
