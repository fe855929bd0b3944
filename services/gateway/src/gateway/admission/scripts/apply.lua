-- A snapshot. ARGV: run, offset, reload ('1' when asked for after everything in Kafka was booked), version, state,
-- plan_id, plan_version, markup, debt, arming, all_models ('1' or '0'), models, number of slices, slices, applied ids
local slices = tonumber(ARGV[13])
local now = server_ms()

-- Applied ids go, whatever their state and whatever order versions arrive in.
for i = 14 + slices, #ARGV do
  local call = ARGV[i]
  redis.call('ZADD', CONFIRMED, text(now), call)
  local known = redis.call('HGET', CALLS, call)
  if known then
    give_back(parse(known).split)
    redis.call('HDEL', CALLS, call)
  end
end
if #ARGV >= 14 + slices then
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
  redis.call(
    'HSET', STATE, 'version', ARGV[4], 'state', ARGV[5], 'plan_id', ARGV[6], 'plan_version', ARGV[7],
    'markup', ARGV[8], 'debt', ARGV[9], 'arming', ARGV[10]
  )
  if ARGV[11] == '1' then
    redis.call('HDEL', STATE, 'models')
  else
    redis.call('HSET', STATE, 'models', ARGV[12])
  end
  redis.call('DEL', SLICES)
  for i = 14, 13 + slices do
    redis.call('RPUSH', SLICES, ARGV[i])
  end
end
if reload then
  redis.call('HSET', STATE, 'run', ARGV[1])
end
return { newer and 'replaced' or 'kept', redis.call('HLEN', CALLS) }
