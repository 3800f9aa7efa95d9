-- Appends an event to a board's log and tells the other processes, in one step.
--
-- KEYS  1 the board's stream, 2 the publishing lease, 3 the board's channel
-- ARGV  1 the caller's lease token ("" for a caller without a lease)
--       2 the board as JSON
--       3, 4 milliseconds and counter of the newest id the caller knows of
--       5 how many events were sent since that could not be logged
--       6 the length cap   7 the stream's expiry in ms   8 the database's number
--       9 when the caller stops waiting, in ms of this server's clock; 0 for never
-- Returns the new id and this server's clock in ms.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A command can lie in a socket buffer until long after its sender gave it up and sent newer
-- ones over another connection. Carried out late it would put an old board on top.
if tonumber(ARGV[9]) > 0 and now > tonumber(ARGV[9]) then
  return redis.error_reply('LATE the caller no longer waits for this append')
end

-- A caller without a lease may append where nobody holds it; a stalled former holder nowhere.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then
  return redis.error_reply('NOTPUBLISHER another process holds the publishing lease')
end

-- The last id given out, not the newest entry's: it outlives entries that were trimmed.
local ms, n = 0, 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local dash = string.find(info[i + 1], '-', 1, true)
      ms = tonumber(string.sub(info[i + 1], 1, dash - 1))
      n = tonumber(string.sub(info[i + 1], dash + 1))
    end
  end
end
local known_ms, known_n = tonumber(ARGV[3]), tonumber(ARGV[4])
local before = string.format('%.0f-%.0f', ms, n)
if known_n > n or (known_n == n and known_ms > ms) then
  before = ARGV[3] .. '-' .. ARGV[4]
end
local id = string.format(
  '%.0f-%.0f', math.max(now, ms, known_ms), math.max(n, known_n) + 1 + tonumber(ARGV[5])
)

local added = redis.pcall(
  'XADD', KEYS[1], 'MAXLEN', '=', ARGV[6], id, 'data', ARGV[2], 'before', before
)
if type(added) == 'table' and added.err then
  -- Full (maxmemory) or read-only: what is live goes on, without an id.
  redis.call('PUBLISH', KEYS[3], ARGV[8] .. ' - ' .. ARGV[2])
  return redis.error_reply('REFUSED ' .. added.err)
end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('PUBLISH', KEYS[3], ARGV[8] .. ' ' .. id .. ' ' .. ARGV[2])
return {id, now}
