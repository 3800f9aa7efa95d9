-- Keeps events of another log under their ids, where they are not there already. Doing it again
-- changes nothing.
--
-- KEYS  1 the board's stream
-- ARGV  1 the id after which they came, one after the other; "" where nothing is known before them
--       2 the length cap   3 the stream's expiry in ms   4 who the caller is
--       5 which run of the server the caller is connected to; "" where it can't tell
--       6, 7 and so on: the id and the data of each

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'stream' then
  return redis.error_reply('NOTOURS the key ' .. KEYS[1] .. ' is of the type ' .. kind)
end

local function add(id, data, before)
  redis.call(
    'XADD', KEYS[1], 'MAXLEN', '=', ARGV[2], id,
    'data', data, 'before', before, 'by', ARGV[4] .. ':0', 'run', ARGV[5]
  )
end

local function older(a, b)
  local a_ms, a_n = split(a)
  local b_ms, b_n = split(b)
  return a_ms < b_ms or (a_ms == b_ms and a_n < b_n)
end

local last = nil
if kind == 'stream' then
  last = newest(KEYS[1])
end

-- What is new, where what is there ends with one of these or right before them.
local first, before = nil, ARGV[1]
if before ~= '' and last == before then
  first = 6
else
  for i = 6, #ARGV, 2 do
    if ARGV[i] == last then
      first, before = i + 2, last
    end
  end
end
if first == nil and ARGV[1] ~= '' and last then
  -- All of both, where they have one in common.
  local all, there, common = {}, {}, false
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
    if ours(entry[2]) then
      there[entry[1]] = entry[2][2]
      all[#all + 1] = entry[1]
    end
  end
  common = there[ARGV[1]] ~= nil
  for i = 6, #ARGV, 2 do
    if there[ARGV[i]] then
      common = true
    else
      there[ARGV[i]] = ARGV[i + 1]
      all[#all + 1] = ARGV[i]
    end
  end
  if common then
    table.sort(all, older)
    local oldest = ARGV[1]
    if all[1] ~= ARGV[6] then
      oldest = '0-0' -- what came before it is not known here
    end
    redis.call('DEL', KEYS[1])
    for _, id in ipairs(all) do
      add(id, there[id], oldest)
      oldest = id
    end
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return ''
  elseif older(ARGV[#ARGV - 1], last) then
    return '' -- what is there is newer, and does not reach back to these
  end
end
if first == nil then
  first = 6
  redis.call('DEL', KEYS[1])
  if before == '' then
    before = '0-0'
  end
end
for i = first, #ARGV, 2 do
  add(ARGV[i], ARGV[i + 1], before)
  before = ARGV[i]
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return ''
