-- ARGV: run, offset, packed, report. Answers one text: `terms|near|…`, `refused|…`, `ok|…`, for a repetition `again|…`,
-- `reload` or `ended`.
local call, patience, most_entries, digest, asked_near, max_tokens, amounts, price, tokens, overage, requests, rate,
  people, user, project, key, expires, markup, model = match(ARGV[3], '^(%x+)|(%d+)|(%d+)|(%x*)|(%d?)|(%d+)|'
    .. '((%d+)|(%d+)|(%d+)|(%d+)|(%d+))|((%x*)|(%x*)|(%x*)|(%d*))|(%d+)|(.*)$')
local run, account, held_digest, slices, debt, plan, allowance, marks = unpack(command(
  'HMGET', STATE, 'run', 'state', 'digest', 'slices', 'debt', 'plan', 'allowance', 'marks'
))
if run ~= ARGV[1] then
  return 'reload'
end
if is_confirmed(call) then
  return 'ended'
end

MARKS = marks
local now = server_ms()
local at = text(now)
local price_wanted, rate_wanted = tonumber(price), tonumber(rate)
local left, free = room(slices, now, debt)
local names = scopes(user, project, key)

-- What only accounts with limits need is read for them alone.
local is_limited = marked('l')
local near, rpm_holds, tpm_holds, open, open_member = '0', 0, 0, 0, 0
local models, most_tokens, most_price, most_open, most_open_member, near_unit, near_at, rpm, tpm, rates
local rpm_used, rpm_at, tpm_used, tpm_at
if is_limited then
  models, most_tokens, most_price, most_open, most_open_member, near_unit, near_at, rpm, tpm, rates = unpack(command(
    'HMGET', STATE, 'models', 'most_tokens', 'most_price', 'open', 'open_member', 'near_unit', 'near_at', 'rpm', 'tpm',
    'rates'
  ))
  rpm_used, rpm_at, tpm_used, tpm_at = read_rates(rates)
  near = near_unit and left[near_unit] <= tonumber(near_at) and '1' or '0'
  rpm_holds = rpm and drained(rpm_used, rpm_at, rpm, now) or 0
  tpm_holds = tpm and drained(tpm_used, tpm_at, tpm, now) or 0
  if marked('n') or marked('m') then
    local leases = command('HMGET', FLIGHT, 'open', 'open:' .. user)
    open, open_member = leases[1] or 0, leases[2] or 0
  end
end

local function standing()
  local limits = is_limited and format('%.0f|%.0f|%.0f|%.0f|', rpm_holds, tpm_holds, open, open_member) or '0|0|0|0|'
  return format('%s|%s|%.0f|%.0f|%.0f|%.0f|', at, near, left.c, left.t, left.r, left.o) .. limits .. allowance
end

local function refuse(reason, limit, retry_ms, resets, first)
  return table.concat({
    'refused', reason, limit or '', retry_ms or '', resets or '', command('HGET', STATE, 'arming'), first or '0',
    standing(),
  }, '|')
end

local known = command('HGET', CALLS, call)
if known then
  local state, stamp, held, split = match(known, '^(%a+)|%d+|(%d+|%d+|%d*|[^|]*)|(%d+|%d+|%d+|%d+|%d+)|'
    .. '%x*|%x*|%x*|%d*|([^|]*)|')
  return state == 'held' and table.concat({ 'again', stamp, split, held, standing() }, '|') or 'ended'
end
if account ~= 'open' then
  return refuse(account)
end
if digest ~= held_digest or (asked_near ~= '' and asked_near ~= near) then
  return table.concat({ 'terms', near, command('HGET', STATE, 'terms') }, '|')
end
if models and not string.find(models, '\n' .. model .. '\n', 1, true) then
  return refuse('model_not_allowed')
end
if most_tokens and tonumber(max_tokens) > tonumber(most_tokens) then
  return refuse('max_tokens', 'max_tokens')
end
if most_price and price_wanted > tonumber(most_price) then
  return refuse('max_price', 'max_price')
end
if math.max(price, tokens, overage, requests, rate) > MAX_AMOUNT then
  return refuse('amount_too_large')
end
if command('HLEN', CALLS) >= tonumber(most_entries) then
  return refuse('too_many_unconfirmed')
end
if names[1] then
  local scope, window, resets = broken_budget(names, price_wanted, now)
  if scope then
    return refuse('budget', 'budget:' .. scope .. ':' .. window, '', resets)
  end
end
local rpm_after, tpm_after, retry = rpm_holds, tpm_holds, nil
if rpm then
  rpm_after, retry = poured(rpm_holds, 1, tonumber(rpm))
  if not rpm_after then
    return refuse('requests_per_minute', 'requests_per_minute', retry)
  end
end
if tpm and rate_wanted > 0 then
  tpm_after, retry = poured(tpm_holds, rate_wanted, tonumber(tpm))
  if not tpm_after then
    return refuse('tokens_per_minute', 'tokens_per_minute', retry)
  end
end
if most_open and expires == '' and tonumber(open) >= tonumber(most_open) then
  return refuse('concurrency', 'concurrency')
end
if most_open_member and user ~= '' and expires == '' and tonumber(open_member) >= tonumber(most_open_member) then
  return refuse('member_concurrency', 'member_concurrency')
end

local most_request = left.r > 0 and command('HGET', STATE, 'most_request')
local pays, unpaid = divide(
  price_wanted, tonumber(tokens), tonumber(overage), tonumber(requests), left, most_request and tonumber(most_request)
)
if unpaid > 0 and not marked('w') then
  -- The call is remembered too, so that its repetition after a lost answer is still the first.
  local arming, refused = unpack(command('HMGET', STATE, 'arming', 'refused'))
  local first = not refused or not (match(refused, '^%d+') == arming) or refused == arming .. ' ' .. call
  if first then
    command('HSET', STATE, 'refused', arming .. ' ' .. call)
  end
  return refuse('credit', '', '', '', first and '1')
end

local split = spread(pays, free)
move('', split)
charge(names, price)
lease(user, expires, '1')
command(
  'HSET', CALLS, call, 'held|' .. (expires ~= '' and expires or text(now + patience)) .. '|' .. at .. '|' .. markup
    .. '|' .. plan .. '|' .. amounts .. '|' .. people .. '|' .. split .. '|' .. ARGV[4]
)
if rpm or tpm then
  command(
    'HSET', STATE, 'rates',
    (rpm and bucket(rpm_after, rpm_at, now) or same_bucket(rpm_used, rpm_at)) .. '|'
    .. (tpm and rate_wanted > 0 and bucket(tpm_after, tpm_at, now) or same_bucket(tpm_used, tpm_at))
  )
end
rpm_holds, tpm_holds = rpm_after, tpm_after
left.r, left.t, left.c, left.o = left.r - pays.r, left.t - pays.t, left.c - pays.c, left.o - pays.o
if expires == '' then
  open, open_member = open + 1, open_member + (user ~= '' and 1 or 0)
end
return 'ok|' .. at .. '|' .. split .. '|' .. standing()
