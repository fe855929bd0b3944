-- Shared by the scripts on one shard of hints. KEYS: account by the time of its next visit; when a gateway last
-- announced entries of it. ARGV[2] is the clock offset in ms.
local DUE, SEEN = KEYS[1], KEYS[2]

local function text(number)
  return string.format('%.0f', number)
end

local function server_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
end
