-- Takes a ticket out of the store, so that nobody else can.
--
-- KEYS  1 the ticket
-- Returns what it stands for; nothing where it is not there.

local found = redis.call('GET', KEYS[1])
if found then
  redis.call('DEL', KEYS[1])
end
return found
