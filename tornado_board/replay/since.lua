-- Reads a board's events after an id, and what proves that none is missing.
--
-- KEYS  1 the board's stream
-- ARGV  1 the id   2 at most how many entries
--       3 which run of the server the caller is connected to; "" where it can't tell
-- Returns this server's clock in ms, the last id given out ("" for no log), the id given out
-- before the first event that follows ("" for none), then a line for the id and one for the data
-- of each event (JSON has no newline in it): one long string costs the caller far less to read
-- than thousands of short ones. Then the id of the last entry that was looked at ("" if there are
-- no more), and 1 if the newest entry is of another run of the server, else 0.

local time = redis.call('TIME')
local reply = {time[1] * 1000 + math.floor(time[2] / 1000), '', '', '', '', 0}
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  return reply
elseif kind ~= 'stream' then
  return redis.error_reply('NOTOURS the key ' .. KEYS[1] .. ' is of the type ' .. kind)
end

local last, entry = newest(KEYS[1])
reply[2] = last
if entry and ours(entry[2]) then
  local run = entry[2][8]
  if run ~= '' and ARGV[3] ~= '' and run ~= ARGV[3] then
    reply[6] = 1
  end
end
local lines = {}
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  local fields = entry[2]
  if ours(fields) then
    if #lines == 0 then
      reply[3] = fields[4]
    end
    lines[#lines + 1] = entry[1]
    lines[#lines + 1] = fields[2]
  end
end
lines[#lines + 1] = '' -- so that every line ends
reply[4] = table.concat(lines, '\n')
if #entries == tonumber(ARGV[2]) then
  reply[5] = entries[#entries][1]
end
return reply
