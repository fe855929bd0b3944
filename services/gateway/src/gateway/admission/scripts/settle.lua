-- ARGV: run, offset, packed, report. Packed is `call|ask_after_ms|price|tokens|overage|requests|rate|` and then the call
-- as its gateway knows it, used when Redis does not. Answers what the call was before: `held`, `swept`, `ended`,
-- `unknown` or `confirmed`.
local call, ask_after, price, tokens, overage, requests, rate, at = string.match(
  ARGV[3], '^(%x+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|()'
)
if is_confirmed(call) then
  return 'confirmed'
end
local now = server_ms()
local known = entry_of(call)
local entry = known or read_call(ARGV[3], at)
local most, policy, tpm, tpm_used, tpm_at = unpack(redis.call(
  'HMGET', STATE, 'most_request', 'policy', 'tpm', 'tpm_used', 'tpm_at'
))

-- The end stays inside what was allocated; what exceeds it stands on the last unit that paid, or on no slice.
local held, slices, last = { r = 0, t = 0, c = 0, o = 0 }, { r = {}, t = {}, c = {}, o = {} }, 'c'
for slice, amount in parts(entry.split) do
  last = string.sub(slice, -1)
  held[last] = held[last] + tonumber(amount)
  table.insert(slices[last], { slice = slice, amount = tonumber(amount) })
end
if policy ~= 'warn' then
  held[last == 'r' and 'c' or last] = MAX_AMOUNT
end
local pays, unpaid = divide(
  tonumber(price), tonumber(tokens), tonumber(overage), tonumber(requests), held, most and tonumber(most)
)
if policy ~= 'warn' then
  pays.c = pays.c + unpaid
end
local split = {}
for _, unit in ipairs(UNITS) do
  local left, list = pays[unit], slices[unit]
  for i, one in ipairs(list) do
    local amount = i == #list and left or math.min(one.amount, left)
    if amount > 0 then
      split[#split + 1] = one.slice .. '=' .. text(amount)
      left = left - amount
    end
  end
  if left > 0 then
    split[#split + 1] = NO_SLICE .. '=' .. text(left)
  end
end

if known and known.state == 'held' then
  correct('tpm', tpm, tpm_used, tpm_at, tonumber(rate) - tonumber(known.rate), now)
end
change(call, known, become(entry, {
  state = 'ended', due = text(now + tonumber(ask_after)), price = price, tokens = tokens, overage = overage,
  requests = requests, rate = rate, split = table.concat(split, ','), report = known and known.report or ARGV[4],
}))
return known and known.state or 'unknown'
