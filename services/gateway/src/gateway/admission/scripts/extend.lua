-- ARGV: run, offset, packed, report; packed as for settle, with new totals and patience_ms. Answers `ok|split`,
-- `refused`, `reload`, or what the call is now: `confirmed`, `swept`, `ended`.
local call, patience, price, tokens, overage, requests, rate, at = string.match(
  ARGV[3], '^(%x+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|()'
)
if is_confirmed(call) then
  return 'confirmed'
end
local now = server_ms()
local due = text(now + tonumber(patience))
local entry = entry_of(call)
if not entry then
  entry = become(read_call(ARGV[3], at), { state = 'held', due = due, report = ARGV[4] })
  change(call, nil, entry)
elseif entry.state ~= 'held' then
  return entry.state
end
local run, account, tpm, most_price, most, policy, debt, tpm_used, tpm_at = unpack(redis.call(
  'HMGET', STATE, 'run', 'state', 'tpm', 'most_price', 'most_request', 'policy', 'debt', 'tpm_used', 'tpm_at'
))
if run ~= ARGV[1] then
  return 'reload'
end
local wanted = {
  price = tonumber(price), tokens = tonumber(tokens), overage = tonumber(overage), requests = tonumber(requests),
  rate = tonumber(rate),
}
local names = scopes(entry)
local more, rate_more = wanted.price - tonumber(entry.price), wanted.rate - tonumber(entry.rate)
if account ~= 'open' or (most_price and wanted.price > tonumber(most_price))
  or math.max(wanted.price, wanted.tokens, wanted.overage, wanted.requests, wanted.rate) > MAX_AMOUNT
  or broken_budget(names, redis.call('HMGET', FLIGHT, unpack(names)), more, now)
  or (tpm and rate_more > 0 and not poured(drained(tpm_used, tpm_at, tpm, now), rate_more, tonumber(tpm))) then
  return 'refused'
end

-- What it holds already is room for it; nothing is given back before the end.
local left, free = room(now, tonumber(debt))
local held, have, order, amounts = { r = 0, t = 0, c = 0, o = 0 }, {}, {}, {}
for slice, amount in parts(entry.split) do
  local unit = string.sub(slice, -1)
  held[unit] = held[unit] + tonumber(amount)
end
for unit, amount in pairs(held) do
  have[unit] = amount + math.max(0, left[unit])
end
local pays, unpaid = divide(
  wanted.price, wanted.tokens, wanted.overage, wanted.requests, have, most and tonumber(most)
)
if unpaid > 0 and policy ~= 'warn' then
  return 'refused'
end
for unit, amount in pairs(pays) do
  pays[unit] = math.max(0, amount - held[unit])
end
for slice, amount in parts(entry.split .. ',' .. spread(pays, free)) do
  if not amounts[slice] then
    order[#order + 1], amounts[slice] = slice, 0
  end
  amounts[slice] = amounts[slice] + tonumber(amount)
end
local split = {}
for _, unit in ipairs(UNITS) do
  for _, slice in ipairs(order) do
    if string.sub(slice, -1) == unit then
      split[#split + 1] = slice .. '=' .. text(amounts[slice])
    end
  end
end

if rate_more > 0 then
  correct('tpm', tpm, tpm_used, tpm_at, rate_more, now)
end
local extended = become(entry, {
  due = due, price = price, tokens = tokens, overage = overage, requests = requests, rate = rate,
  split = table.concat(split, ','),
})
change(call, entry, extended)
return 'ok|' .. extended.split
