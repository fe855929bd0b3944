-- ARGV: run, offset, account, due_ms (or '' when it has no entry), at_most_in_ms, quiet_ms
-- A hint goes only when no gateway announced entries for a while: an admission may be on its way behind its hint.
local now = server_ms()
local at_most = now + tonumber(ARGV[5])
if ARGV[4] ~= '' then
  redis.call('ZADD', DUE, text(math.min(at_most, math.max(tonumber(ARGV[4]), now))), ARGV[3])
  return 'kept'
end
local seen = redis.call('HGET', SEEN, ARGV[3])
if seen and now - tonumber(seen) < tonumber(ARGV[6]) then
  redis.call('ZADD', DUE, text(at_most), ARGV[3])
  return 'kept'
end
redis.call('ZREM', DUE, ARGV[3])
redis.call('HDEL', SEEN, ARGV[3])
return 'removed'
