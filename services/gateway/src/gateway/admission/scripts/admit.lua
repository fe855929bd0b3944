-- ARGV: run, offset, packed, report. Answers one text: `terms|near|…`, `refused|…`, `ok|…`, for a repetition `again|…`,
-- `reload` or `ended`.
local call, patience, most_entries, digest, asked_near, max_tokens, price, tokens, overage, requests, rate, user, project,
  key, expires, markup, model = string.match(ARGV[3], '^(%x+)|(%d+)|(%d+)|(%x*)|(%d?)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|'
  .. '(%d+)|(%x*)|(%x*)|(%x*)|(%d*)|(%d+)|(.*)$')
local run, account, held_digest, near_unit, near_at, rpm, tpm, most_open, most_open_member, most_tokens, most_price,
  most_request, policy, debt, arming, refused, models, plan_version, plan_id, rpm_used, rpm_at, tpm_used, tpm_at,
  base_unit, base, renews = unpack(redis.call(
    'HMGET', STATE, 'run', 'state', 'digest', 'near_unit', 'near_at', 'rpm', 'tpm', 'open', 'open_member',
    'most_tokens', 'most_price', 'most_request', 'policy', 'debt', 'arming', 'refused', 'models', 'plan_version',
    'plan_id', 'rpm_used', 'rpm_at', 'tpm_used', 'tpm_at', 'base_unit', 'base', 'renews'
  ))
if run ~= ARGV[1] then
  return 'reload'
end
if is_confirmed(call) then
  return 'ended'
end

local now = server_ms()
local wanted = {
  price = tonumber(price), tokens = tonumber(tokens), overage = tonumber(overage), requests = tonumber(requests),
  rate = tonumber(rate),
}
local left, free = room(now, tonumber(debt))
local near = near_unit and left[near_unit] <= tonumber(near_at) and '1' or '0'
local names = scopes({ user = user, project = project, key = key })
local in_flight = redis.call('HMGET', FLIGHT, unpack(names))
local leases = redis.call('HMGET', FLIGHT, 'open', 'open:' .. user)
local open, open_member = tonumber(leases[1] or '0'), tonumber(leases[2] or '0')
local rpm_holds = rpm and drained(rpm_used, rpm_at, rpm, now) or 0
local tpm_holds = tpm and drained(tpm_used, tpm_at, tpm, now) or 0

local function standing()
  return table.concat({
    text(now), near, text(left.c), text(left.t), text(left.r), text(left.o), text(rpm_holds), text(tpm_holds),
    text(open), text(open_member), base_unit or '', base or '', renews or '',
  }, '|')
end

local function refuse(reason, limit, retry_ms, resets, first)
  return table.concat({
    'refused', reason, limit or '', retry_ms or '', resets or '', arming, first and '1' or '0', standing(),
  }, '|')
end

local known = entry_of(call)
if known then
  if known.state ~= 'held' then
    return 'ended'
  end
  return table.concat({
    'again', known.admitted, known.markup, known.plan_version, known.plan_id, known.split, known.price, known.tokens,
    known.overage, known.requests, known.rate, standing(),
  }, '|')
end
if account ~= 'open' then
  return refuse(account)
end
if digest ~= held_digest or (asked_near ~= '' and asked_near ~= near) then
  return table.concat({ 'terms', near, redis.call('HGET', STATE, 'terms') }, '|')
end
if models and not string.find(models, '\n' .. model .. '\n', 1, true) then
  return refuse('model_not_allowed')
end
if most_tokens and tonumber(max_tokens) > tonumber(most_tokens) then
  return refuse('max_tokens', 'max_tokens')
end
if most_price and wanted.price > tonumber(most_price) then
  return refuse('max_price', 'max_price')
end
for _, amount in pairs(wanted) do
  if amount > MAX_AMOUNT then
    return refuse('amount_too_large')
  end
end
if redis.call('HLEN', CALLS) >= tonumber(most_entries) then
  return refuse('too_many_unconfirmed')
end

local scope, window, resets = broken_budget(names, in_flight, wanted.price, now)
if scope then
  return refuse('budget', 'budget:' .. scope .. ':' .. window, '', resets)
end
local rpm_after, tpm_after, retry = rpm_holds, tpm_holds, nil
if rpm then
  rpm_after, retry = poured(rpm_holds, 1, tonumber(rpm))
  if not rpm_after then
    return refuse('requests_per_minute', 'requests_per_minute', retry)
  end
end
if tpm and wanted.rate > 0 then
  tpm_after, retry = poured(tpm_holds, wanted.rate, tonumber(tpm))
  if not tpm_after then
    return refuse('tokens_per_minute', 'tokens_per_minute', retry)
  end
end
if most_open and open >= tonumber(most_open) then
  return refuse('concurrency', 'concurrency')
end
if most_open_member and user ~= '' and open_member >= tonumber(most_open_member) then
  return refuse('member_concurrency', 'member_concurrency')
end

local pays, unpaid = divide(
  wanted.price, wanted.tokens, wanted.overage, wanted.requests, left, most_request and tonumber(most_request)
)
if unpaid > 0 and policy ~= 'warn' then
  -- The call is remembered too, so that its repetition after a lost answer is still the first.
  local first = not refused or not (string.match(refused, '^%d+') == arming) or refused == arming .. ' ' .. call
  if first then
    redis.call('HSET', STATE, 'refused', arming .. ' ' .. call)
  end
  return refuse('credit', '', '', '', first)
end

local entry = call_of(
  text(now), markup, plan_version or '', plan_id or '', price, tokens, overage, requests, rate, user, project, key,
  expires, spread(pays, free)
)
entry.state, entry.report = 'held', ARGV[4]
entry.due = expires ~= '' and expires or text(now + tonumber(patience))
change(call, nil, entry)
correct('rpm', rpm, rpm_used, rpm_at, 1, now)
correct('tpm', tpm, tpm_used, tpm_at, wanted.rate, now)
rpm_holds, tpm_holds = rpm_after, tpm_after
for unit, amount in pairs(pays) do
  left[unit] = left[unit] - amount
end
open, open_member = open + 1, open_member + (user ~= '' and 1 or 0)
return table.concat({ 'ok', entry.admitted, entry.split, standing() }, '|')
