-- How a call is paid: requests, then tokens, then credits, then overage (rating.burning is the same rule; where credits
-- and overage share a call, this one may hold a nano-credit more).
local UNITS = { 'r', 't', 'c', 'o' }
local EXACT = 2 ^ 53

-- part/whole of an amount, rounded up, where rest * part leaves what doubles hold: divided bit by bit.
local function ceil_share_by_bits(rest, part, whole)
  local bits, quotient, remainder = {}, 0, 0
  while rest > 0 do
    bits[#bits + 1] = math.fmod(rest, 2)
    rest = math.floor(rest / 2)
  end
  for i = #bits, 1, -1 do
    quotient = quotient * 2
    if remainder >= whole - remainder then
      remainder, quotient = remainder - (whole - remainder), quotient + 1
    else
      remainder = remainder * 2
    end
    if bits[i] == 1 then
      if remainder >= whole - part then
        remainder, quotient = remainder - (whole - part), quotient + 1
      else
        remainder = remainder + part
      end
    end
  end
  return quotient + (remainder > 0 and 1 or 0)
end

-- The share part/whole of an amount, rounded up; exact for all amounts.
local function ceil_share(amount, part, whole)
  if part >= whole then
    return amount
  end
  if part <= 0 then
    return 0
  end
  local rest = math.fmod(amount, whole)
  local quotient, product = (amount - rest) / whole * part, rest * part
  if product >= EXACT then
    return quotient + ceil_share_by_bits(rest, part, whole)
  end
  local remainder = math.fmod(product, whole)
  return quotient + (product - remainder) / whole + (remainder > 0 and 1 or 0)
end

-- What may be used now by unit, and the slices that have room, in burn order. What stands on slices that the snapshot
-- does not know (any more) counts against the rest; what stands on slices that are not valid now counts nowhere.
local function room(now, debt)
  local used, known, flat = {}, {}, redis.call('HGETALL', USED)
  for i = 1, #flat, 2 do
    used[flat[i]] = tonumber(flat[i + 1])
  end
  local free, owed = { r = {}, t = {}, c = {}, o = {} }, { r = 0, t = 0, c = debt, o = 0 }
  for _, packed in ipairs(redis.call('LRANGE', SLICES, 0, -1)) do
    local slice, unit, from, till, amount = string.match(packed, '^([^|]+:(%a))|(%d+)|(%d*)|(%d+)$')
    known[slice] = true
    if tonumber(from) <= now and (till == '' or now < tonumber(till)) then
      local left = tonumber(amount) - (used[slice] or 0)
      if left < 0 then
        owed[unit] = owed[unit] - left
      else
        local list = free[unit]
        list[#list + 1] = { slice = slice, amount = left }
      end
    end
  end
  for slice, amount in pairs(used) do
    if not known[slice] then
      local unit = string.sub(slice, -1)
      owed[unit] = owed[unit] + amount
    end
  end
  -- Sums stop at the highest amount, where doubles are still exact: beyond it, it denies early or says "at least".
  local left = {}
  for unit, list in pairs(free) do
    left[unit] = 0 - math.min(owed[unit], MAX_AMOUNT)
    for _, one in ipairs(list) do
      left[unit] = math.min(left[unit] + one.amount, MAX_AMOUNT)
    end
  end
  return left, free
end

-- Answers what each unit pays, and the share of the price that nothing pays.
local function divide(price, tokens, overage, requests, left, most)
  local pays, due, part, whole = { r = 0, t = 0, c = 0, o = 0 }, 0, 1, 1
  if requests > 0 and left.r >= requests then
    pays.r = requests
    due = most and math.max(0, price - most) or 0
    part, whole = due, price
  else
    pays.t = math.max(0, math.min(tokens, left.t))
    if tokens > 0 then
      part, whole = tokens - pays.t, tokens
    end
    due = ceil_share(price, part, whole)
  end
  pays.c = math.max(0, math.min(due, left.c))
  local rest = due - pays.c
  if rest == 0 or left.o <= 0 then
    return pays, rest
  end
  local wanted = ceil_share(ceil_share(overage, part, whole), rest, due)
  if wanted <= left.o then
    pays.o = wanted
    return pays, 0
  end
  pays.o = left.o
  return pays, ceil_share(rest, wanted - left.o, wanted)
end

-- Puts amounts on slices in burn order; they must fit.
local function spread(amounts, free)
  local split = {}
  for _, unit in ipairs(UNITS) do
    local left = amounts[unit]
    for _, one in ipairs(free[unit]) do
      if left <= 0 then
        break
      end
      local amount = math.min(one.amount, left)
      if amount > 0 then
        split[#split + 1] = one.slice .. '=' .. text(amount)
        left = left - amount
      end
    end
  end
  return table.concat(split, ',')
end
