-- Tries on a key of its own what the scripts of the log and of the lease do, and leaves nothing.
--
-- KEYS  1 the key   ARGV  1 a channel
-- Returns what failed, a line each: the command, a blank, what the server said.

local failed = {}
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    failed[#failed + 1] = string.lower((...)) .. ' ' .. reply.err
  end
end

-- First, since a full server lets a script go on that has written already.
try('SET', KEYS[1], 'x', 'PX', 10000)
try('TIME')
try('TYPE', KEYS[1])
try('EXISTS', KEYS[1])
try('GET', KEYS[1])
try('PTTL', KEYS[1])
redis.pcall('DEL', KEYS[1])
try('XADD', KEYS[1], 'MAXLEN', '=', 1, '1-1', 'x', 'x')
try('PEXPIRE', KEYS[1], 10000)
if redis.pcall('TYPE', KEYS[1]).ok == 'stream' then
  try('XINFO', 'STREAM', KEYS[1])
  try('XSETID', KEYS[1], '1-2')
end
try('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
try('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
try('XTRIM', KEYS[1], 'MAXLEN', '=', 0)
try('PUBLISH', ARGV[1], 'x')
try('DEL', KEYS[1])
return table.concat(failed, '\n')
