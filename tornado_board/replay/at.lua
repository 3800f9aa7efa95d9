-- Finds the newest event of a board at or before each of some times.
--
-- KEYS  1 the board's stream   2 and further its tracks, the finest first
-- ARGV  times in ms, none earlier than the one before
-- Returns this server's clock in ms; when the oldest event is of that is kept ("" for none), and 1
-- if there were older ones, where one of the times had none; then for each time the id of the event
-- ("" for none), its place among KEYS, and its data, which is "" where the id is that of the time
-- before.

local time = redis.call('TIME')
local reply = {time[1] * 1000 + math.floor(time[2] / 1000), '', 0}

-- Other programs' keys and entries are none of the board's.
local function first_of(...)
  local entries = redis.pcall(...)
  local entry = not entries.err and entries[1]
  if entry and (ours(entry[2]) or of_track(entry[2])) then
    return entry
  end
end

local before, found_all = '', true
for _, at in ipairs(ARGV) do
  local entry, place = nil, 0
  -- Each key has the newest events up to its end, so that the first one that has any decides.
  while not entry and place < #KEYS do
    place = place + 1
    entry = first_of('XREVRANGE', KEYS[place], at, '-', 'COUNT', 1)
  end
  local id = entry and entry[1] or ''
  reply[#reply + 1] = id
  reply[#reply + 1] = place
  reply[#reply + 1] = entry and id ~= before and entry[2][2] or ''
  before, found_all = id, found_all and entry ~= nil
end
if not found_all then
  local oldest
  for i = #KEYS, 1, -1 do
    local entry = first_of('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)
    if entry and (not oldest or split(entry[1]) < split(oldest[1])) then
      oldest = entry
    end
  end
  if oldest then
    local fields = oldest[2]
    reply[2] = string.format('%.0f', (split(oldest[1])))
    if of_track(fields) then
      reply[3] = tonumber(fields[4]) > #fields[2] + ENTRY_BYTES and 1 or 0
    else
      reply[3] = fields[4] ~= '0-0' and 1 or 0
    end
  end
end
return reply
