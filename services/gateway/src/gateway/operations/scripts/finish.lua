-- How an operation ends, decided once whoever asks. ARGV: run id, clock offset in ms, what was asked, from when on it
-- is too late in ms (0: never), how long it is remembered in s, the event, the answer.
local asked, event, answer = unpack(redis.call('HMGET', KEYS[1], 'asked', 'event', 'answer'))
if asked then
  return {asked == ARGV[3] and 'same' or 'other', event, answer}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
local until_ms = tonumber(ARGV[4])
if until_ms > 0 and now >= until_ms then
  return {'late'}
end
redis.call('HSET', KEYS[1], 'asked', ARGV[3], 'event', ARGV[6], 'answer', ARGV[7])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {'new', ARGV[6], ARGV[7]}
