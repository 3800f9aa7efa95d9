-- Takes the publishing lease, if nobody has it; otherwise says who does. (Not `SET NX`, which a
-- full server refuses even where somebody has it.)
--
-- KEYS  1 the lease
-- ARGV  1 the caller's token   2 for how many ms   3 the longest that any process may set, in ms
--       4 what the tokens of this deployment begin with
-- Returns 1 if it is taken now, 0 if another process of this deployment has it, or why nobody can
-- tell who has it. A token of ours that would not run out in time is made to: a process that is
-- alive renews it, and one that is not no longer keeps the others out.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
if kind ~= 'string' then
  return 'it is of the type ' .. kind
end
local value = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
local lasting = left < 0 or left > tonumber(ARGV[3])
local start = string.sub(value, 1, #ARGV[4])
if start ~= ARGV[4] or not string.find(string.sub(value, #start + 1), '^[^:]*:%d+:%x+$') then
  return 'its value is not a token of this program'
end
if not lasting then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if left < 0 then
  return 'it had no expiry, and has one now'
end
return string.format('it would have lasted %.0f s, and was cut short', left / 1000)
