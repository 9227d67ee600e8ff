"""What runs inside the store: each is atomic, and costs one command however much it does."""

from __future__ import annotations

from typing import Final

COMMIT: Final = """
-- KEYS[1]: the position. ARGV: build, expected place, new place, commands as JSON, fields as JSON.
-- Answers what stands there: {build, place}; the commands ran if the place is the expected one.
local have = redis.call('HMGET', KEYS[1], 'build', 'seq')
if have[1] ~= ARGV[1] or have[2] ~= ARGV[2] then
  return {have[1] or '', have[2] or '', 0}
end
for _, command in ipairs(cjson.decode(ARGV[4])) do
  redis.call(unpack(command))
end
redis.call('HSET', KEYS[1], 'seq', ARGV[3], unpack(cjson.decode(ARGV[5])))
return {ARGV[1], ARGV[3], 1}
"""
"""Write a batch together with its place in the stream, unless another place stands there."""

CLAIM: Final = """
-- KEYS[1]: the position. ARGV: the build and place that were seen ('' for none), fields as JSON.
local have = redis.call('HMGET', KEYS[1], 'build', 'seq')
if (have[1] or '') ~= ARGV[1] or (have[2] or '') ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(cjson.decode(ARGV[3])))
return 1
"""
"""Begin a new build of the projection, unless somebody else wrote meanwhile."""

LOAD: Final = """
local out = {}
for i, key in ipairs(KEYS) do
  out[i] = redis.call('HGETALL', key)
end
return out
"""
"""Read many hashes; a missing one is empty."""
