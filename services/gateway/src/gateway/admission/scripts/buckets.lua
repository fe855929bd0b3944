-- A rate is a bucket that drains its limit per minute: what it holds is counted in 60,000ths, so that everything stays
-- whole per millisecond.
local PER_UNIT = 60000

local function drained(used, at, limit, now)
  local holds, drops = tonumber(used or '0'), math.max(0, now - (at or 0)) * limit
  return drops >= holds and 0 or holds - drops
end

-- Fields and values of a bucket; at a clock that went back, no earlier.
local function put_bucket(words, name, holds, at, now)
  local count = #words
  words[count + 1], words[count + 2] = name .. '_used', text(math.max(0, math.min(holds, MAX_AMOUNT)))
  words[count + 3], words[count + 4] = name .. '_at', text(math.max(now, tonumber(at or '0')))
end
