-- Renews the publishing lease, if it is still the caller's.
--
-- KEYS  1 the lease   ARGV  1 the caller's token   2 for how many ms
-- Returns 1, or 0 if the lease has expired, is another process's or no lease at all.

if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
