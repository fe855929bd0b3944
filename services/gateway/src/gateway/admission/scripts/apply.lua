-- A snapshot. ARGV: run, offset, reload ('1' when asked for after everything in Kafka was booked), version, number of
-- state words, of budget words; then `field, value` of the state ('' removes a field), budgets (`scope, windows`) and
-- applied ids
local words, budgets = tonumber(ARGV[5]), tonumber(ARGV[6])
local first_budget = 7 + words
local first_call = first_budget + budgets
local now = server_ms()

-- Applied ids go, whatever their state and whatever order versions arrive in.
for i = first_call, #ARGV do
  local call = ARGV[i]
  command('ZADD', CONFIRMED, text(now), call)
  local entry = entry_of(call)
  if entry then
    remove(call, entry)
  end
end
if #ARGV >= first_call then
  -- Forgetting only denies early, until the ledger is asked.
  command('ZREMRANGEBYSCORE', CONFIRMED, '-inf', text(now - CONFIRMED_FOR_MS))
  command('ZREMRANGEBYRANK', CONFIRMED, 0, -CONFIRMED_AT_MOST - 1)
  command('PEXPIRE', CONFIRMED, text(CONFIRMED_FOR_MS))
end

-- What FLIGHT counts.
local function limited()
  return (command('HGET', STATE, 'marks') or '') .. table.concat(command('HKEYS', BUDGETS), ' ')
end

local function count_anew()
  MARKS = nil
  command('DEL', FLIGHT)
  for _, packed in ipairs(command('HVALS', CALLS)) do
    local entry = read_entry(packed)
    charge(scopes(entry.user, entry.project, entry.key), entry.price)
    if entry.state == 'held' then
      lease(entry.user, entry.expires, '1')
    end
  end
end

local version = command('HGET', STATE, 'version')
local reload = ARGV[3] == '1'
if not version and not reload then
  -- Only a reload may build state: whether Redis is new or has lost its memory cannot be told here.
  return { 'unknown', command('HLEN', CALLS) }
end
local newer = not version or tonumber(ARGV[4]) > tonumber(version)
if newer then
  local before = limited()
  command('HSET', STATE, 'version', ARGV[4])
  for i = 7, 6 + words, 2 do
    if ARGV[i + 1] == '' then
      command('HDEL', STATE, ARGV[i])
    else
      command('HSET', STATE, ARGV[i], ARGV[i + 1])
    end
  end
  command('DEL', BUDGETS)
  for i = first_budget, first_call - 1, 2 do
    command('HSET', BUDGETS, ARGV[i], ARGV[i + 1])
  end
  if limited() ~= before then
    count_anew()
  end
end
if reload then
  command('HSET', STATE, 'run', ARGV[1])
end
return { newer and 'replaced' or 'kept', command('HLEN', CALLS) }
