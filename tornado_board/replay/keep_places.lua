-- Keeps the places of a board for a day, unless some of that day are kept.
--
-- KEYS  1 the board's track of places, 2 the publishing lease
-- ARGV  1 the caller's lease token ("" for a caller without a lease)   2 the places, as JSON
--       3 the track's step in ms, 4 the most entries, 5 its expiry in ms
-- Returns 1 if they are kept now, else 0.

local fence = fenced(KEYS[2], ARGV[1])
if fence then
  return fence
end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'stream' then
  return redis.error_reply('NOTOURS the key ' .. KEYS[1] .. ' is of the type ' .. kind)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last and not is_last_of_slot(last[1], now, ARGV[3]) then
  return 0
end
local added = put(KEYS[1], {string.format('%.0f-0', now), {'data', ARGV[2]}}, ARGV[4], ARGV[5])
if type(added) == 'table' and added.err then
  return redis.error_reply('REFUSED ' .. added.err)
end
return 1
