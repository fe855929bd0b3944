-- Shared by every script on one account. KEYS are always these seven; ARGV[1] is the server's run as the caller read it
-- at connect, ARGV[2] the clock offset in ms.
--
-- An entry is `state|due_ms|` and then the call as its gateway knows it,
-- `admitted_ms|markup_bps|plan_version|plan_id|price|tokens|overage|requests|rate|user|project|key|expires_ms|split`,
-- and then `|report`. A split is `slice:unit=amount,...`; units are r(equest), t(oken), c(redit), o(verage).
-- FLIGHT counts what entries stand for: prices by who pays and spends, leases of held ones.
-- Amounts are decimal text: `tostring` and `..` on a number keep 14 digits only, `%.0f` keeps all up to 2^53.
local STATE, SLICES, CALLS, USED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local CONFIRMED, FLIGHT, BUDGETS = KEYS[5], KEYS[6], KEYS[7]
local MAX_AMOUNT = 9e15
local CONFIRMED_FOR_MS = 3600000
local CONFIRMED_AT_MOST = 20000
local NO_SLICE = '-:c'
local CALL = '(%d+)|(%d+)|(%d*)|([^|]*)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%x*)|(%x*)|(%x*)|(%d*)|([^|]*)'

local function text(number)
  return string.format('%.0f', number)
end

local function server_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
end

local function call_of(admitted, markup, plan_version, plan_id, price, tokens, overage, requests, rate, user, project,
                       key, expires, split, rest_at)
  return {
    admitted = admitted, markup = markup, plan_version = plan_version, plan_id = plan_id, price = price,
    tokens = tokens, overage = overage, requests = requests, rate = rate, user = user, project = project, key = key,
    expires = expires, split = split, rest_at = rest_at,
  }
end

local function read_call(packed, from)
  return call_of(string.match(packed, '^' .. CALL .. '$', from))
end

local function read_entry(packed)
  local state, due, at = string.match(packed, '^(%a+)|(%d+)|()')
  local entry = call_of(string.match(packed, '^' .. CALL .. '|()', at))
  entry.state, entry.due, entry.report = state, due, string.sub(packed, entry.rest_at)
  return entry
end

local function entry_of(call)
  local packed = redis.call('HGET', CALLS, call)
  return packed and read_entry(packed) or nil
end

-- The same call in another state, with other amounts.
local function become(entry, changes)
  local after = {}
  for name, value in pairs(entry) do
    after[name] = value
  end
  for name, value in pairs(changes) do
    after[name] = value
  end
  return after
end

local function is_confirmed(call)
  return redis.call('ZSCORE', CONFIRMED, call) ~= false
end

local function parts(split)
  return string.gmatch(split, '([^=,]+)=(%d+)')
end

local function count(key, field, amount)
  if amount ~= 0 and redis.call('HINCRBY', key, field, text(amount)) == 0 then
    redis.call('HDEL', key, field)
  end
end

-- Who an entry's price counts against, as BUDGETS and FLIGHT name them.
local function scopes(call)
  local names = { 'account' }
  if call.user ~= '' then
    names[2] = 'member:' .. call.user
  end
  if call.project ~= '' then
    names[#names + 1] = 'project:' .. call.project
  end
  if call.key ~= '' then
    names[#names + 1] = 'api_key:' .. call.key
  end
  return names
end

-- Only a held entry is a lease: it goes with the entry's end, its sweeping and its removal alike.
local function lease(call, step)
  count(FLIGHT, 'open', step)
  if call.user ~= '' then
    count(FLIGHT, 'open:' .. call.user, step)
  end
end

-- The one place that changes entries: what they stand for in USED and FLIGHT moves with them.
local function change(id, before, after)
  local moved, price = {}, 0
  if before then
    price = 0 - tonumber(before.price)
    for slice, amount in parts(before.split) do
      moved[slice] = 0 - tonumber(amount)
    end
  end
  if after then
    price = price + tonumber(after.price)
    for slice, amount in parts(after.split) do
      moved[slice] = (moved[slice] or 0) + tonumber(amount)
    end
  end
  for slice, amount in pairs(moved) do
    count(USED, slice, amount)
  end
  if price ~= 0 then
    for _, scope in ipairs(scopes(after or before)) do
      count(FLIGHT, scope, price)
    end
  end
  local held, holds = before and before.state == 'held', after and after.state == 'held'
  if held and not holds then
    lease(before, -1)
  elseif holds and not held then
    lease(after, 1)
  end
  if not after then
    redis.call('HDEL', CALLS, id)
    return
  end
  redis.call('HSET', CALLS, id, table.concat({
    after.state, after.due, after.admitted, after.markup, after.plan_version, after.plan_id, after.price, after.tokens,
    after.overage, after.requests, after.rate, after.user, after.project, after.key, after.expires, after.split,
    after.report,
  }, '|'))
end
