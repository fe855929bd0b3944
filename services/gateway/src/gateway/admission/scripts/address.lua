-- One address on unauthenticated routes: a bucket that drains by itself. KEYS: the bucket. ARGV: per minute, at most.
-- Answers '' when there is room, else after how many ms.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local per_minute, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local used, at = unpack(redis.call('HMGET', KEYS[1], 'used', 'at'))
local holds = math.max(0, tonumber(used or '0') - math.max(0, now - tonumber(at or '0')) * per_minute)
local over = holds + 60000 - most * 60000
if over > 0 then
  return string.format('%.0f', math.ceil(over / per_minute))
end
redis.call('HSET', KEYS[1], 'used', string.format('%.0f', holds + 60000), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((holds + 60000) / per_minute)))
return ''
