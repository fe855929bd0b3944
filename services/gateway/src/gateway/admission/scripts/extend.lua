-- ARGV: run, offset, packed, report; packed as for settle, with new totals and patience_ms. Answers `ok|split`,
-- `refused`, `reload`, or what the call is now: `confirmed`, `swept`, `ended`.
local call, patience, price, tokens, overage, requests, rate, from = match(
  ARGV[3], '^(%x+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|()'
)
if is_confirmed(call) then
  return 'confirmed'
end
local now = server_ms()
local due = text(now + patience)
local entry = entry_of(call)
if not entry then
  entry = enter(call, sub(ARGV[3], from), due, ARGV[4])
elseif entry.state ~= 'held' then
  return entry.state
end
local run, account, slices, debt, most_price, most_request, tpm, rates = unpack(command(
  'HMGET', STATE, 'run', 'state', 'slices', 'debt', 'most_price', 'most_request', 'tpm', 'rates'
))
if run ~= ARGV[1] then
  return 'reload'
end
local wanted = {
  price = tonumber(price), tokens = tonumber(tokens), overage = tonumber(overage), requests = tonumber(requests),
  rate = tonumber(rate),
}
local names = scopes(entry.user, entry.project, entry.key)
local rate_more = wanted.rate - entry.rate
local _, _, tpm_used, tpm_at = read_rates(rates)
if account ~= 'open' or (most_price and wanted.price > tonumber(most_price))
  or math.max(wanted.price, wanted.tokens, wanted.overage, wanted.requests, wanted.rate) > MAX_AMOUNT
  or (names[1] and broken_budget(names, wanted.price - entry.price, now))
  or (tpm and rate_more > 0 and not poured(drained(tpm_used, tpm_at, tpm, now), rate_more, tonumber(tpm))) then
  return 'refused'
end

-- What it holds already is room for it; nothing is given back before the end.
local left, free = room(slices, now, debt)
local held, have, order, amounts = { r = 0, t = 0, c = 0, o = 0 }, {}, {}, {}
for slice, amount in gmatch(entry.split, PART) do
  local unit = sub(slice, -1)
  held[unit] = held[unit] + amount
end
for unit, amount in pairs(held) do
  have[unit] = amount + math.max(0, left[unit])
end
local pays, unpaid = divide(
  wanted.price, wanted.tokens, wanted.overage, wanted.requests, have, most_request and tonumber(most_request)
)
if unpaid > 0 and not marked('w') then
  return 'refused'
end
for unit, amount in pairs(pays) do
  pays[unit] = math.max(0, amount - held[unit])
end
for slice, amount in gmatch(entry.split .. ',' .. spread(pays, free), PART) do
  if not amounts[slice] then
    order[#order + 1], amounts[slice] = slice, 0
  end
  amounts[slice] = amounts[slice] + amount
end
local split = {}
for i = 1, 4 do
  for _, slice in ipairs(order) do
    if sub(slice, -1) == UNITS[i] then
      split[#split + 1] = slice .. '=' .. text(amounts[slice])
    end
  end
end

if rate_more > 0 then
  correct(rates, false, 0, tpm, rate_more, now)
end
local extended = become(entry, 'held', due)
extended.price, extended.tokens, extended.overage, extended.requests, extended.rate = price, tokens, overage, requests,
  rate
extended.split = table.concat(split, ',')
change(call, entry, extended)
return 'ok|' .. extended.split
