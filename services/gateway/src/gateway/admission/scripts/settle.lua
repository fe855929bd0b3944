-- ARGV: run, offset, packed, report. Packed is `call|ask_after_ms|price|tokens|overage|requests|rate|` and then the call
-- as its gateway knows it, used when Redis does not. Answers what the call was before: `held`, `swept`, `ended`,
-- `unknown` or `confirmed`.
local call, ask_after, amounts, price, tokens, overage, requests, rate, from = match(
  ARGV[3], '^(%x+)|(%d+)|((%d+)|(%d+)|(%d+)|(%d+)|(%d+))|()'
)
if is_confirmed(call) then
  return 'confirmed'
end
local now = server_ms()
local known = command('HGET', CALLS, call)
local marks, tpm, rates = unpack(command('HMGET', STATE, 'marks', 'tpm', 'rates'))
MARKS = marks or ''
local state, stamp, held_price, held_rate, people, user, project, key, expires, held_split, report_at = match(
  known or 'unknown|0|' .. sub(ARGV[3], from) .. '|',
  '^(%a+)|%d+|(%d+|%d+|%d*|[^|]*)|(%d+)|%d+|%d+|%d+|(%d+)|((%x*)|(%x*)|(%x*)|(%d*))|([^|]*)|()'
)

-- The end stays inside what was allocated; what exceeds it stands on the last unit that paid, or on no slice.
local function split_of_end()
  local most, warns = command('HGET', STATE, 'most_request'), marked('w')
  local held, slices, last = { r = 0, t = 0, c = 0, o = 0 }, { r = {}, t = {}, c = {}, o = {} }, 'c'
  for slice, amount in gmatch(held_split, PART) do
    last = sub(slice, -1)
    held[last] = held[last] + amount
    table.insert(slices[last], { slice = slice, amount = tonumber(amount) })
  end
  if not warns then
    held[last == 'r' and 'c' or last] = MAX_AMOUNT
  end
  local pays, unpaid = divide(
    tonumber(price), tonumber(tokens), tonumber(overage), tonumber(requests), held, most and tonumber(most)
  )
  if not warns then
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
      split[#split + 1] = '-:c=' .. text(left)
    end
  end
  return table.concat(split, ',')
end

-- Most calls stand on one slice of credits: then that pays all of it.
local slice, amount = match(held_split, '^([^=,]+:c)=(%d+)$')
local split
if slice and known and not marked('w') then
  split = price == '0' and '' or slice .. '=' .. price
  add(USED, slice, text(price - amount))
else
  split = split_of_end()
  move(known and held_split or '', split)
end
if state == 'held' and marked('l') then
  correct(rates, false, 0, tpm, rate - held_rate, now)
end
charge(scopes(user, project, key), text(known and price - held_price or price))
if state == 'held' then
  lease(user, expires, '-1')
end
command(
  'HSET', CALLS, call, 'ended|' .. text(now + ask_after) .. '|' .. stamp .. '|' .. amounts .. '|' .. people .. '|'
    .. split .. '|' .. (known and sub(known, report_at) or ARGV[4])
)
return state
