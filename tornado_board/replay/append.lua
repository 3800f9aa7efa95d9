-- Appends an event to a board's log and tells the other processes, in one step. An error means
-- that nothing was appended.
--
-- KEYS  1 the board's stream, 2 the publishing lease, 3 and further its tracks
-- ARGV  1 the caller's lease token ("" for a caller without a lease)
--       2 the board as JSON
--       3, 4 milliseconds and counter of the newest id the caller knows of; 0 and 0 for none
--       5 how many events were sent since that could not be logged
--       6 the length cap   7 the stream's expiry in ms   8 the board's channel
--       9 when the caller stops waiting, in ms of this server's clock; 0 for never
--       10 who the caller is, the same for all of its appends   12 a number that goes up with them
--       11 which run of the server the caller was connected to; "" where it can't tell
--       13 and further, of each track: its step in ms, the most entries, its expiry in ms
-- Returns the new id, this server's clock in ms, and why the others could not be told or "".

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A command can lie in a socket buffer until long after its sender gave it up and sent newer
-- ones over another connection. Carried out late it would put an old board on top.
if tonumber(ARGV[9]) > 0 and now > tonumber(ARGV[9]) then
  return redis.error_reply('LATE the caller no longer waits for this append')
end

-- A caller without a lease may append where nobody holds it; a stalled former holder nowhere.
local fence = fenced(KEYS[2], ARGV[1])
if fence then
  return fence
end

-- What can't be logged is live all the same, without an id.
local function live_only()
  redis.pcall('PUBLISH', ARGV[8], '- ' .. ARGV[2])
end

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'stream' then
  live_only()
  return redis.error_reply('NOTOURS the key ' .. KEYS[1] .. ' is of the type ' .. kind)
end

local known_ms, known_n, lost = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = ARGV[3] .. '-' .. ARGV[4]
local ms, n, before = known_ms, known_n, known
local newest_event
local fresh = kind == 'none'
if not fresh then
  local last, entry = newest(KEYS[1])
  local last_ms, last_n = split(last)
  if last_ms > 1e15 or last_n > 1e15 then
    live_only()
    return redis.error_reply('NOTOURS the key ' .. KEYS[1] .. ' holds entries of another program')
  end
  local fields = entry and entry[2]
  if fields and not ours(fields) then
    -- Another program's entry. Counters begin anew above it, and leave a gap.
    fresh, ms, n = true, math.max(ms, last_ms), math.max(n, last_n)
  else
    newest_event = fields and entry
    if fields and entry[1] == last and fields[4] == known and known_n > 0
      and last_n == known_n + 1 + lost and fields[2] == ARGV[2]
      and string.sub(fields[6], 1, #ARGV[10] + 1) == ARGV[10] .. ':' then
      return {last, now, ''} -- it is there already: its reply was lost, and this is the next try
    end
    -- Likewise where its sender has appended a newer one already.
    local by, number = string.match(fields and fields[6] or '', '^(%x+):(%d+)$')
    if by == ARGV[10] and tonumber(number) > tonumber(ARGV[12]) then
      return redis.error_reply('LATE the caller has appended another event since')
    end
    if last_n > n or (last_n == n and last_ms > ms) then
      ms, n, before = last_ms, last_n, last
      -- After a failover or a restart the newest entries may be lost. Only a caller who knows that
      -- there were no others can tell that they are not.
      if before ~= known and fields and fields[8] ~= ARGV[11]
        and fields[8] ~= '' and ARGV[11] ~= '' then
        lost = lost + 1
      end
    else
      ms = math.max(ms, last_ms)
    end
  end
end
n = n + 1 + lost
if fresh then
  n = math.max(n, now)
end
ms = math.max(now, ms)
local id = string.format('%.0f-%.0f', ms, n)

local added = redis.pcall(
  'XADD', KEYS[1], 'MAXLEN', '=', ARGV[6], id,
  'data', ARGV[2], 'before', before, 'by', ARGV[10] .. ':' .. ARGV[12], 'run', ARGV[11]
)
if type(added) == 'table' and added.err then
  live_only() -- full (maxmemory) or read-only
  return redis.error_reply('REFUSED ' .. added.err)
end
redis.pcall('PEXPIRE', KEYS[1], ARGV[7])
-- After that event, since a full server lets a script go on that has written already.
for i = 3, newest_event and #KEYS or 0 do
  local first = 3 * i + 4
  if is_last_of_slot(newest_event[1], ms, ARGV[first]) then
    put(KEYS[i], newest_event, ARGV[first + 1], ARGV[first + 2])
  end
end
local told = redis.pcall('PUBLISH', ARGV[8], id .. ' ' .. ARGV[2])
return {id, now, type(told) == 'table' and told.err or ''}
