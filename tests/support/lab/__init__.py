"""A lab that is not there: plausible events, heartbeats and overviews, for the dashboard's tests.

`model` plays it on a clock of its own and says what would be published, `asked` what it would answer;
`service` publishes and answers that on a real nats-server, as a scheduler does.
"""
