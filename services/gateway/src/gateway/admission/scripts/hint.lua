-- ARGV: run, offset, account, visit_in_ms
local now = server_ms()
redis.call('ZADD', DUE, 'LT', text(now + tonumber(ARGV[4])), ARGV[3])
redis.call('HSET', SEEN, ARGV[3], text(now))
return 'ok'
