-- Records that subscribers of a board were sent events that no log holds, by any process: the
-- next event's counter leaves them out, so that no client is told that it missed nothing.
--
-- KEYS  1 the board's stream
-- ARGV  1, 2 milliseconds and counter of the last id sent before those events
--       3 how many they were
-- Returns the stream's last id, or "" where there is no log (then every id is a gap already).

if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
  return ''
end
local last, entry = newest(KEYS[1])
local after = ARGV[1] .. '-' .. ARGV[2]
local first = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1)[1]
if first then
  local _, n = split(first[1])
  if n ~= tonumber(ARGV[2]) + 1 or entry[1] ~= last then
    return last -- another process has recorded that gap already, or this is the second try
  end
elseif last ~= after then
  return last -- likewise, or it was never this log's id
end
local ms, n = split(last)
last = string.format('%.0f-%.0f', ms, n + tonumber(ARGV[3]))
redis.call('XSETID', KEYS[1], last)
return last
