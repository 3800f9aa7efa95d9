-- What the scripts of this folder know of streams; it is put before each of them.

-- Whether an entry of the log has `fields`; others are another program's.
local function ours(fields)
  return #fields == 8 and fields[1] == 'data' and fields[3] == 'before'
end

-- The last id that the stream gave out, which outlives entries that were trimmed, and its newest
-- entry, if it has one.
local function newest(key)
  local info, last, entry = redis.call('XINFO', 'STREAM', key), nil, nil
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = info[i + 1]
    elseif info[i] == 'last-entry' and info[i + 1] then
      entry = info[i + 1]
    end
  end
  return last, entry
end

-- Milliseconds and counter of an id.
local function split(id)
  local dash = string.find(id, '-', 1, true)
  return tonumber(string.sub(id, 1, dash - 1)), tonumber(string.sub(id, dash + 1))
end

-- The publishing lease does not let the caller with this token publish: the error that says so.
local function fenced(key, token)
  local lease = redis.pcall('GET', key) or ''
  if lease == token then
    return nil
  end
  if type(lease) == 'table' and not string.find(lease.err, 'WRONGTYPE', 1, true) then
    return lease
  end
  return redis.error_reply('NOTPUBLISHER another process holds the publishing lease')
end

