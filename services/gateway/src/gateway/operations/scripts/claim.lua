-- The first use of an idempotency key. ARGV: run id, clock offset in ms, the body's hash, a new call id, how long a use
-- without an answer holds the key in ms, how long the key is remembered in s.
local body, call, at, answer = unpack(redis.call('HMGET', KEYS[1], 'body', 'call', 'at', 'answer'))
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
if body and body ~= ARGV[3] then
  return {'other'}
end
if answer then
  return {'done', call, answer}
end
if body and now - tonumber(at) < tonumber(ARGV[5]) then
  return {'again', call}
end
redis.call('HSET', KEYS[1], 'body', ARGV[3], 'call', ARGV[4], 'at', string.format('%.0f', now))
redis.call('EXPIRE', KEYS[1], ARGV[6])
return {'new', ARGV[4]}
