-- What the scripts of this folder know of a board's thinned tracks, one stream a step; it is put
-- behind stream.lua. An entry has the board as JSON (data) and the bytes of all that was ever put
-- into the track (total), of which the difference of two entries is what lies between them.

-- What an entry counts as beside its data, as in track.py.
local ENTRY_BYTES = 64

-- Whether an entry of a track has `fields`; others are another program's.
local function of_track(fields)
  return #fields == 4 and fields[1] == 'data' and fields[3] == 'total'
end

-- Whether the event `id` is the last of its slot of `step` ms, if the next one is at `following`.
local function is_last_of_slot(id, following, step)
  return math.floor(split(id) / step) < math.floor(following / step)
end

-- Puts `entry` of the log into the track `key`, unless it is there, or a later one. Nothing is
-- raised: the log goes on without its track where the server, or another program's key, is in the
-- way. Returns what XADD says.
local function put(key, entry, most, expiry)
  local newest_entry = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if newest_entry.err then
    return newest_entry
  end
  local total = 0
  if newest_entry[1] and of_track(newest_entry[1][2]) then
    total = tonumber(newest_entry[1][2][4])
  end
  local data = entry[2][2]
  local added = redis.pcall(
    'XADD', key, 'MAXLEN', '=', most, entry[1],
    'data', data, 'total', string.format('%.0f', total + #data + ENTRY_BYTES)
  )
  redis.pcall('PEXPIRE', key, expiry)
  return added
end
