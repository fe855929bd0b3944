-- ARGV: run, offset, limit, lease_ms. Accounts that are due; others see them again only after the lease.
local now = server_ms()
local accounts = redis.call('ZRANGEBYSCORE', DUE, '-inf', text(now), 'LIMIT', 0, ARGV[3])
for _, account in ipairs(accounts) do
  redis.call('ZADD', DUE, text(now + tonumber(ARGV[4])), account)
end
return accounts
