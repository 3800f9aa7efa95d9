-- Takes the publishing lease, if nobody has it. (Not `SET NX`, which a full server refuses even
-- where somebody has it.)
--
-- KEYS  1 the lease   ARGV  1 the caller's token   2 for how many ms
-- Returns 1, or 0 if it is taken.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
