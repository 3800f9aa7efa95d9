-- Drops the events of some boards that are older than the retention. The newest one of a board goes
-- into its tracks then, since it is what the board was from then on.
--
-- KEYS  of each board: its stream, its tracks
-- ARGV  1 the oldest that is kept, in ms   2 the expiry of a stream without events, in ms
--       3 and further, of each track: its step in ms (not used here), the most entries, its expiry
-- Returns how many were dropped. A key that is not a stream is another program's, and passed over.

local oldest, dropped, tracks = ARGV[1] .. '-0', 0, (#ARGV - 2) / 3
for i = 1, #KEYS, tracks + 1 do
  if redis.call('TYPE', KEYS[i]).ok == 'stream' then
    local _, entry = newest(KEYS[i])
    local all = entry and split(entry[1]) < tonumber(ARGV[1])
    if all and ours(entry[2]) then
      -- First, since a full server lets a script go on that has written already.
      dropped = dropped + redis.call('XTRIM', KEYS[i], 'MINID', '=', entry[1])
      for track = 1, tracks do
        put(KEYS[i + track], entry, ARGV[3 * track + 1], ARGV[3 * track + 2])
      end
    end
    dropped = dropped + redis.call('XTRIM', KEYS[i], 'MINID', '=', oldest)
    if all then
      redis.call('PEXPIRE', KEYS[i], ARGV[2])
    end
  end
end
return dropped
