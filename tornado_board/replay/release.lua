-- Hands the publishing lease back, if it is still the caller's.
--
-- KEYS  1 the lease, and the channel on which those who want it hear that it is free
-- ARGV  1 the caller's token
-- Returns 1, or 0 if the lease has expired or is another process's.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PUBLISH', KEYS[1], 'free')
return redis.call('DEL', KEYS[1])
