-- A rate is a bucket that drains its limit per minute: what it holds is counted in 60,000ths, so that everything stays
-- whole per millisecond.
local PER_UNIT = 60000

local function drained(used, at, limit, now)
  local holds, drops = tonumber(used or '0'), math.max(0, now - (at or 0)) * limit
  return drops >= holds and 0 or holds - drops
end

-- Both buckets stand in one field of STATE, `rates`: what requests hold and since when, then the same of tokens.
local function read_rates(packed)
  return match(packed or '', '^(%d+)|(%d+)|(%d+)|(%d+)$')
end

-- A bucket's half of it; at a clock that went back, no earlier.
local function bucket(holds, at, now)
  return format('%.0f|%.0f', math.max(0, math.min(holds, MAX_AMOUNT)), math.max(now, tonumber(at or '0')))
end

local function same_bucket(used, at)
  return (used or '0') .. '|' .. (at or '0')
end
