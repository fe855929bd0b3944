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
