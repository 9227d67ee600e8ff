"""A lab that is not there: plausible events, heartbeats and overviews, for the dashboard's tests.

`model` plays it on a clock of its own and says what would be published; `service` publishes that
on a real nats-server and answers the queries a scheduler would.
"""
