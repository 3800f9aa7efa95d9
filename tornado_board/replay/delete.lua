-- Forgets a board's events and tells the other processes that the board is gone, in one step.
--
-- KEYS  1 the board's stream, 2 the publishing lease, 3 the board's channel
-- ARGV  1 the caller's lease token ("" for a caller without a lease)   2 the database's number
-- Returns how many streams that were.

if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then
  return redis.error_reply('NOTPUBLISHER another process holds the publishing lease')
end
local deleted = redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[3], ARGV[2] .. ' gone')
return deleted
