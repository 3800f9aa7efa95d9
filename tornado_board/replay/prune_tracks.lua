-- Drops what is older than the edge from some tracks of one step, but for the newest of it, which is
-- what the board still was at the edge.
--
-- KEYS  the tracks   ARGV  1 the edge in ms   2 their expiry in ms
-- Returns for each how many bytes it has, how many entries, and how many were dropped. A key that
-- is not a stream is another program's, and has none.

local reply = {}
for i, key in ipairs(KEYS) do
  local bytes, length, dropped = 0, 0, 0
  if redis.call('TYPE', key).ok == 'stream' then
    local edge = redis.call('XREVRANGE', key, ARGV[1], '-', 'COUNT', 1)[1]
    if edge then
      dropped = redis.call('XTRIM', key, 'MINID', '=', edge[1])
    end
    -- A board that does not change keeps its last one for as long as there is a server.
    redis.call('PEXPIRE', key, ARGV[2])
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    local _, last = newest(key)
    if first and of_track(first[2]) and of_track(last[2]) then
      bytes = last[2][4] - first[2][4] + #first[2][2] + ENTRY_BYTES
      local info = redis.call('XINFO', 'STREAM', key)
      for at = 1, #info, 2 do
        if info[at] == 'length' then
          length = info[at + 1]
        end
      end
    end
  end
  reply[#reply + 1] = bytes
  reply[#reply + 1] = length
  reply[#reply + 1] = dropped
end
return reply
