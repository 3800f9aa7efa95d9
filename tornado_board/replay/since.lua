-- Reads a board's events after an id, and what proves that none is missing.
--
-- KEYS  1 the board's stream
-- ARGV  1 the id   2 at most how many events
-- Returns this server's clock in ms, the last id given out ("" for no log), the id given out
-- before the first event that follows ("" for none), then a line for the id and one for the data
-- of each event (JSON has no newline in it): one long string costs the caller far less to read
-- than thousands of short ones.

local time = redis.call('TIME')
local reply = {time[1] * 1000 + math.floor(time[2] / 1000), '', '', ''}
if redis.call('EXISTS', KEYS[1]) == 0 then
  return reply
end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then
    reply[2] = info[i + 1]
  end
end
local lines = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])) do
  local fields = entry[2]
  if #lines == 0 then
    reply[3] = fields[4]
  end
  lines[#lines + 1] = entry[1]
  lines[#lines + 1] = fields[2]
end
lines[#lines + 1] = '' -- so that every line ends
reply[4] = table.concat(lines, '\n')
return reply
