-- ARGV: run, offset, call, cost, model, patience_ms, most_entries, report
local call, cost, model = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local run, account, plan_id, plan_version, markup, debt, arming, refused, models = unpack(redis.call(
  'HMGET', STATE, 'run', 'state', 'plan_id', 'plan_version', 'markup', 'debt', 'arming', 'refused', 'models'
))
if run ~= ARGV[1] then
  return { 'reload' }
end
if is_confirmed(call) then
  return { 'ended' }
end

local now = server_ms()
local available, free = room(now, tonumber(debt))

local function admitted(entry, left)
  return { 'ok', entry.admitted, entry.markup, entry.plan_version, entry.plan_id, entry.split, text(left) }
end

local function refuse(reason, first)
  return { 'refused', reason, text(available), markup, arming, first and '1' or '0' }
end

local known = redis.call('HGET', CALLS, call)
if known then
  local entry = parse(known)
  if entry.state ~= 'held' then
    return { 'ended' }
  end
  return admitted(entry, available)
end
if account ~= 'open' then
  return refuse(account)
end
if models and not string.find(models, '\n' .. model .. '\n', 1, true) then
  return refuse('model_not_allowed')
end

-- Split so that every product that matters is below 2^53; one that is not is far above the highest amount.
local factor = 10000 + tonumber(markup)
local rest = math.fmod(cost, 10000)
local price = (cost - rest) / 10000 * factor + math.ceil(rest * factor / 10000)
if not (cost <= MAX_AMOUNT and price <= MAX_AMOUNT) then
  return refuse('amount_too_large')
end
if redis.call('HLEN', CALLS) >= tonumber(ARGV[7]) then
  return refuse('too_many_unconfirmed')
end
if available < price then
  -- The call is remembered too, so that its repetition after a lost answer is still the first.
  local first = not refused or not (string.match(refused, '^%d+') == arming) or refused == arming .. ' ' .. call
  if first then
    redis.call('HSET', STATE, 'refused', arming .. ' ' .. call)
  end
  return refuse('credit', first)
end

local split, left = {}, price
for _, one in ipairs(free) do
  local part = math.min(one.amount, left)
  if part > 0 then
    split[#split + 1] = one.slice .. '=' .. text(part)
    left = left - part
  end
end
local entry = {
  state = 'held',
  admitted = text(now),
  due = text(now + tonumber(ARGV[6])),
  markup = markup,
  plan_version = plan_version,
  plan_id = plan_id,
  split = table.concat(split, ','),
  report = ARGV[8],
}
take(entry.split)
write(call, entry)
return admitted(entry, available - price)
