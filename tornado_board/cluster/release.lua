-- Hands the publishing lease back, if it is still the caller's.
--
-- KEYS  1 the lease
-- ARGV  1 the caller's token   2 the channel on which those who want it hear that it is free
-- Returns 1, or 0 if the lease has expired, is another process's or no lease at all.

if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local deleted = redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[2], 'free') -- unheard, they find it free a little later
return deleted
