-- Forgets a board's events and tells the other processes that the board is gone, in one step.
--
-- KEYS  1 the board's stream, 2 the publishing lease
-- ARGV  1 the caller's lease token ("" for a caller without a lease)   2 the board's channel
--       3 the stream's expiry in ms
-- Returns why the others could not be told, or "".

local lease = redis.pcall('GET', KEYS[2]) or ''
if lease ~= ARGV[1] then
  if type(lease) == 'table' and not string.find(lease.err, 'WRONGTYPE', 1, true) then
    return lease
  end
  return redis.error_reply('NOTPUBLISHER another process holds the publishing lease')
end

-- The next life's counters begin at the clock. Where this life's have not stayed behind it, they
-- are kept, one further.
local keep = nil
if redis.call('TYPE', KEYS[1]).ok == 'stream' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local dash = string.find(info[i + 1], '-', 1, true)
      local n = tonumber(string.sub(info[i + 1], dash + 1))
      if n >= now and n < 1e15 then
        keep = string.sub(info[i + 1], 1, dash) .. string.format('%.0f', n + 1)
      end
    end
  end
end
if keep then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', 0)
  redis.call('XSETID', KEYS[1], keep)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
local told = redis.pcall('PUBLISH', ARGV[2], 'gone')
return type(told) == 'table' and told.err or ''
