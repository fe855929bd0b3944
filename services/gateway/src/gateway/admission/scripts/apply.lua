-- A snapshot. ARGV: run, offset, reload ('1' when asked for after everything in Kafka was booked), version, number of
-- state words, of slices, of budget words; then `field, value` of the state ('' removes a field), slices, budgets
-- (`scope, windows`) and applied ids
local words, slices, budgets = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local first_slice, first_budget = 8 + words, 8 + words + slices
local first_call = first_budget + budgets
local now = server_ms()

-- Applied ids go, whatever their state and whatever order versions arrive in.
for i = first_call, #ARGV do
  local call = ARGV[i]
  redis.call('ZADD', CONFIRMED, text(now), call)
  local entry = entry_of(call)
  if entry then
    change(call, entry, nil)
  end
end
if #ARGV >= first_call then
  -- Forgetting only denies early, until the ledger is asked.
  redis.call('ZREMRANGEBYSCORE', CONFIRMED, '-inf', text(now - CONFIRMED_FOR_MS))
  redis.call('ZREMRANGEBYRANK', CONFIRMED, 0, -CONFIRMED_AT_MOST - 1)
  redis.call('PEXPIRE', CONFIRMED, text(CONFIRMED_FOR_MS))
end

local version = redis.call('HGET', STATE, 'version')
local reload = ARGV[3] == '1'
if not version and not reload then
  -- Only a reload may build state: whether Redis is new or has lost its memory cannot be told here.
  return { 'unknown', redis.call('HLEN', CALLS) }
end
local newer = not version or tonumber(ARGV[4]) > tonumber(version)
if newer then
  redis.call('HSET', STATE, 'version', ARGV[4])
  for i = 8, 7 + words, 2 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', STATE, ARGV[i])
    else
      redis.call('HSET', STATE, ARGV[i], ARGV[i + 1])
    end
  end
  redis.call('DEL', SLICES, BUDGETS)
  for i = first_slice, first_budget - 1 do
    redis.call('RPUSH', SLICES, ARGV[i])
  end
  for i = first_budget, first_call - 1, 2 do
    redis.call('HSET', BUDGETS, ARGV[i], ARGV[i + 1])
  end
end
if reload then
  redis.call('HSET', STATE, 'run', ARGV[1])
end
return { newer and 'replaced' or 'kept', redis.call('HLEN', CALLS) }
