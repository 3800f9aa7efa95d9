-- Forgets a board's events and tells the other processes that the board is gone, in one step.
--
-- KEYS  1 the board's stream, 2 the publishing lease, 3 and further its tracks
-- ARGV  1 the caller's lease token ("" for a caller without a lease)   2 the board's channel
--       3 the stream's expiry in ms
-- Returns why the others could not be told, or "".

local fence = fenced(KEYS[2], ARGV[1])
if fence then
  return fence
end

-- The next life's counters begin at the clock. Where this life's have not stayed behind it, they
-- are kept, one further.
local keep = nil
if redis.call('TYPE', KEYS[1]).ok == 'stream' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local ms, n = split((newest(KEYS[1])))
  if n >= now and n < 1e15 then
    keep = string.format('%.0f-%.0f', ms, n + 1)
  end
end
if keep then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', 0)
  redis.call('XSETID', KEYS[1], keep)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
for i = 3, #KEYS do
  redis.call('DEL', KEYS[i])
end
local told = redis.pcall('PUBLISH', ARGV[2], 'gone')
return type(told) == 'table' and told.err or ''
